"""Queues in Redis: ``redis://``, ``rediss://`` (TLS), ``redis+socket://``, ``sentinel://``, ``redis+cluster://``.

All atomicity is in ``scripts.lua``, which documents the keys. No message is ever in a client's memory only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import redis

from kombu.exceptions import InvalidURL
from kombu.transport.base import Address
from kombu.transport.redis import connecting
from kombu.transport.redis.cluster import Cluster, Place
from kombu.transport.redis.keys import Keys
from kombu.transport.redis.link import Confirmation, Direct, Link
from kombu.transport.redis.options import RedisOptions, redis_options
from kombu.transport.redis.server import Server
from kombu.transport.redis.store import RedisStore
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import VirtualConnection, read_options
from kombu.utils.url import url_to_parts

__all__ = ["ClusterTransport", "RedisStore", "SecureTransport", "SentinelTransport", "SocketTransport", "Transport"]

_CLUSTER = "cluster://"


class Transport(VirtualTransport):
    """``redis://user:password@host:port/0``; the virtual host is the number of the database.

    ``redis+socket:///path`` and ``redis+cluster://host:port,host:port`` come here too: what follows the ``+`` is the
    address, a path or ``cluster://…``.
    """

    driver_type = "redis"
    driver_name = "redis"
    default_port = connecting.PORT
    secure = False

    def make_store(self) -> RedisStore:
        options, keys = self._options, Keys(self._options.global_keyprefix)
        return RedisStore(self._link(options), keys, patience=self.address.connect_timeout or options.socket_timeout)

    def establish_connection(self) -> VirtualConnection:
        connection = VirtualConnection(self.make_store(), read_options(self._options.rest))
        connection.open(self._options.socket_connect_timeout or self.address.connect_timeout)
        return connection

    def driver_version(self) -> str:
        return str(redis.__version__)

    def _link(self, options: RedisOptions) -> Link:
        hostname = self.address.hostname or "localhost"
        if hostname.startswith(_CLUSTER):
            return self._cluster(_cluster_address(self.address), options)
        if hostname.startswith("/"):
            connect = connecting.unix(hostname, connecting.arguments(self.address, options, self._database()))
            return self._direct(hostname, connect, options)
        if "://" in hostname:
            raise _not_known(hostname.partition("://")[0], self._tls)
        port = self.address.port or connecting.PORT
        connect = connecting.tcp(hostname, port, self._given(options), self._tls)
        return self._direct(f"{hostname}:{port}", connect, options)

    def _direct(self, where: str, connect: connecting.Connect, options: RedisOptions) -> Direct:
        confirmation = _confirmation(options)
        server = Server(f"redis {where}", connect, options.max_connections, options.socket_timeout)
        return Direct(server, confirmation, options.socket_timeout)

    def _cluster(self, address: Address, options: RedisOptions) -> Cluster:
        given = connecting.network_arguments(address, options, 0, self._tls)

        def server(place: Place) -> Server:
            host, port = place
            connect = connecting.tcp(host, port, given, self._tls)
            return Server(f"redis {host}:{port}", connect, options.max_connections, options.socket_timeout)

        return Cluster(_places(address), server, _confirmation(options), options.socket_timeout)

    def _given(self, options: RedisOptions) -> dict[str, Any]:
        return connecting.network_arguments(self.address, options, self._database(), self._tls)

    def _database(self) -> int:
        name = (self.address.virtual_host or "0").strip("/") or "0"
        if not (name.isascii() and name.isdecimal()):
            raise InvalidURL(f"virtual host {name!r}: Redis has databases with numbers, as in redis://localhost/0")
        return int(name)

    @property
    def _tls(self) -> bool:
        return self.secure or bool(self.address.ssl)

    @cached_property
    def _options(self) -> RedisOptions:
        address = self.address
        if (address.hostname or "").startswith(_CLUSTER):
            address = _cluster_address(address)
        options = redis_options(address.options, address.ssl)
        # What waits for replicas gets its answer later than the others.
        late = options.wait_timeout if options.wait_replicas else 0.0
        return replace(options, socket_timeout=options.socket_timeout + late)


class SecureTransport(Transport):
    """``rediss://host:port/0``: with TLS, which verifies certificate and name."""

    secure = True


class SocketTransport(Transport):
    """``redis+socket:///path?virtual_host=0``: the same as :class:`Transport`, which sees the path."""


class SentinelTransport(Transport):
    """``sentinel://host:26379/0?master_name=mymaster``; more sentinels after semicolons. User and password are the
    master's; the option ``sentinel_kwargs`` has the sentinels' own."""

    default_port = connecting.SENTINEL_PORT

    def _link(self, options: RedisOptions) -> Link:
        hostname = self.address.hostname or "localhost"
        if "://" in hostname:
            raise _not_known("sentinel", self._tls or hostname.startswith("rediss"))
        sentinel = hostname, self.address.port or connecting.SENTINEL_PORT
        timeout = options.socket_connect_timeout or self.address.connect_timeout or options.socket_timeout
        connect = connecting.by_sentinel(sentinel, options, self._given(options), self._tls, timeout)
        return self._direct(f"{options.master_name} of sentinel {sentinel[0]}:{sentinel[1]}", connect, options)


class ClusterTransport(Transport):
    """A cluster by the name of its transport: ``Connection("host", transport="redis+cluster")``."""

    def _link(self, options: RedisOptions) -> Link:
        return self._cluster(self.address, options)


def _cluster_address(address: Address) -> Address:
    """``cluster://user:password@host:port,host:port/?option=value`` taken apart; what is outside of it counts first."""
    whole = address.hostname or ""
    hosts, mark, query = whole.removeprefix(_CLUSTER).partition("?")
    userinfo, at, places = hosts.rpartition("@")
    places, _, path = places.partition("/")
    if path.strip("/") not in ("", "0"):
        raise InvalidURL("a cluster has database 0 only: leave the path out of the URL")
    parts = url_to_parts(f"redis://{userinfo}{at}localhost{mark}{query}")
    options: Mapping[str, object] = {**parts.query, **address.options}
    return replace(
        address,
        hostname=places,
        userid=address.userid or parts.userid,
        password=address.password or parts.password,
        options=options,
    )


def _places(address: Address) -> list[Place]:
    places = []
    for text in (address.hostname or "localhost").split(","):
        parts = url_to_parts(f"redis://{text.strip()}")
        places.append((parts.hostname or "localhost", parts.port or address.port or connecting.PORT))
    return places


def _not_known(scheme: str, tls: bool) -> InvalidURL:
    """For what stands on the other side of a ``+``; of the address itself nothing is told, it may have a password."""
    if scheme.startswith("sentinel"):
        how = " and give the connection the argument ssl=True" if tls else ""
        return InvalidURL(f"for the master that sentinels name write sentinel://host:26379/0?master_name=…{how}")
    return InvalidURL(f"redis+{scheme}:// is not known, but redis+socket:///path and redis+cluster://host:port are")


def _confirmation(options: RedisOptions) -> Confirmation:
    return Confirmation(options.wait_replicas, options.wait_timeout)
