"""How connections are made: by TCP, with TLS, through a Unix socket, or to whom the sentinels call the master."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Protocol

import redis.connection
import redis.sentinel
from redis import exceptions as driver
from redis.backoff import NoBackoff
from redis.retry import Retry

from kombu.exceptions import InvalidURL, KombuError, OperationalError
from kombu.transport.base import Address
from kombu.transport.redis.errors import explained
from kombu.transport.redis.options import RedisOptions
from kombu.transport.virtual.deadline import seconds_to_wait

PORT = 6379
SENTINEL_PORT = 26379

_NO_TLS = ("Timeout connecting", "WRONG_VERSION_NUMBER")
"""What the driver says of a server that waits for a command, or answers, where TLS begins with a greeting."""

_connections: Any = redis.connection
_sentinels: Any = redis.sentinel
"""The driver has types for some of it only."""


class Connection(Protocol):
    """What we use of the driver's."""

    _sock: socket.socket

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def send_packed_command(self, command: Sequence[bytes]) -> None: ...

    def send_command(self, *command: str) -> None: ...

    def read_response(self) -> Any: ...

    def can_read(self, timeout: float) -> bool: ...


Connect = Callable[[], Connection]


def arguments(address: Address, options: RedisOptions, database: int) -> dict[str, Any]:
    """The driver's, for any kind of connection."""
    given: dict[str, Any] = {
        "db": database,
        "protocol": 2,
        "socket_timeout": options.socket_timeout,
        "socket_connect_timeout": options.socket_connect_timeout or address.connect_timeout or None,
        "health_check_interval": options.health_check_interval,
        "client_name": options.client_name,
    }
    if options.credential_provider is not None:
        given["credential_provider"] = options.credential_provider
    elif address.password or address.userid:
        given |= {"username": address.userid, "password": address.password or ""}
    return given


def network_arguments(address: Address, options: RedisOptions, database: int, tls: bool) -> dict[str, Any]:
    """The driver's, for a connection by TCP."""
    given = arguments(address, options, database)
    given["socket_keepalive"] = options.socket_keepalive
    if options.socket_keepalive_options is not None:
        given["socket_keepalive_options"] = options.socket_keepalive_options
    return {**given, **options.tls()} if tls else given


def tcp(host: str, port: int, given: dict[str, Any], tls: bool) -> Connect:
    kind = _connections.SSLConnection if tls else _connections.Connection

    def connect() -> Connection:
        try:
            return opened(kind(host=host, port=port, **_in_time(given)))
        except (driver.ConnectionError, driver.TimeoutError) as exc:
            if tls and any(each in str(exc) for each in _NO_TLS):
                raise driver.ConnectionError(f"{exc}: does the server speak TLS at this port?") from exc
            raise

    return connect


def unix(path: str, given: dict[str, Any]) -> Connect:
    def connect() -> Connection:
        return opened(_connections.UnixDomainSocketConnection(path=path, **_in_time(given)))

    return connect


def _in_time(given: dict[str, Any]) -> dict[str, Any]:
    """With limits that keep the caller's deadline: the server says hello within them, too."""
    limits = {name: seconds_to_wait(given[name] or inf) for name in ("socket_timeout", "socket_connect_timeout")}
    return {**given, **{name: seconds for name, seconds in limits.items() if seconds < inf}}


def by_sentinel(
    sentinel: tuple[str, int], options: RedisOptions, given: dict[str, Any], tls: bool, timeout: float
) -> Connect:
    """To the master of ``options.master_name``, asked for again each time."""
    name = options.master_name
    if not name:
        raise InvalidURL("sentinel: which master? say so with the option master_name")
    once = Retry(NoBackoff(), 0)
    arguments = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": once,
        "protocol": 2,
        **options.sentinel_kwargs,
    }
    where = f"sentinel {sentinel[0]}:{sentinel[1]}"

    def connect() -> Connection:
        sentinels = _sentinels.Sentinel([sentinel], options.min_other_sentinels, _in_time(arguments))
        try:
            host, port = sentinels.discover_master(name)
        except _sentinels.MasterNotFoundError as exc:
            reason = str(exc).rpartition("> - ")[2]  # before it the driver has all its arguments
            raise OperationalError(
                f"{where} names no master {name!r} that is alive: does it answer, is the option master_name right,"
                f" and min_other_sentinels no more than there are? ({reason})"
            ) from exc
        except (driver.RedisError, OSError) as exc:
            raise explained(where, exc) from exc
        finally:
            for each in sentinels.sentinels:
                each.close()
        return _master(tcp(host, port, given, tls)(), f"{host}:{port}")

    return connect


def opened(connection: Connection) -> Connection:
    """The driver leaves a socket open when it is refused while it says hello."""
    try:
        connection.connect()
    except BaseException:
        connection.disconnect()
        raise
    return connection


def _master(connection: Connection, where: str) -> Connection:
    """The sentinels may not have heard yet that it is none any more."""
    try:
        connection.send_command("ROLE")
        role = connection.read_response()[0]
    except BaseException as exc:
        connection.disconnect()
        if isinstance(exc, driver.RedisError | OSError) and not isinstance(exc, KombuError):
            raise explained(where, exc) from exc
        raise
    if role != b"master":
        connection.disconnect()
        raise OperationalError(f"{where} is called the master, and says that it is a {role.decode()}: try again soon")
    return connection
