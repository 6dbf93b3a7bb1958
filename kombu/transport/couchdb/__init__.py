"""``couchdb://user:password@host:port/database``: queues in a database of a CouchDB, over httpx."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import httpx

from kombu.exceptions import InvalidURL
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.store import CouchDBStore
from kombu.transport.native.tls import TLS, read_tls
from kombu.transport.virtual import Options, VirtualConnection, read_options
from kombu.transport.virtual import Transport as VirtualTransport

__all__ = ["CouchDBStore", "SecureTransport", "Transport"]

_OWN = ("timeout",)
_NAME = re.compile(r"[a-z][a-z0-9_$()+/-]{0,237}\Z")
"""https://docs.couchdb.org/en/stable/api/database/common.html#put--db"""

_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP: httpx wants one, and to read the authorities of the machine takes longer than to connect."""


class Transport(VirtualTransport):
    """The database is ``kombu`` unless the URL names another; it is made if need be. Transport options, beside those of
    every store:

    ``timeout``
        Seconds that the server may take for an answer, 10.
    """

    driver_type = "couchdb"
    driver_name = "httpx"
    default_port = 5984
    scheme: ClassVar[str] = "http"

    def make_store(self) -> CouchDBStore:
        self._options()
        return CouchDBStore(self._database())

    def establish_connection(self) -> VirtualConnection:
        connection = VirtualConnection(self.make_store(), self._options())
        connection.open(self.address.connect_timeout)
        return connection

    def driver_version(self) -> str:
        return httpx.__version__

    def _options(self) -> Options:
        return read_options({name: value for name, value in self.address.options.items() if name not in _OWN})

    def _database(self) -> partial[Database]:
        address = self.address
        host = address.hostname or "localhost"
        tls = _tls(address.ssl or self.scheme == "https", host)
        scheme, default_port = ("http", 5984) if tls is None else ("https", 6984)
        port = address.port or default_port
        return partial(
            Database,
            f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}",
            _name(address.virtual_host),
            address.userid,
            address.password,
            _TRUSTS_NOBODY if tls is None else tls.context,
            address.connect_timeout,
            _seconds(address.options.get("timeout", 10.0)),
        )


class SecureTransport(Transport):
    """``couchdbs://``: with TLS, which verifies the server's certificate. The option ``ssl`` of the connection may name
    the authorities that are trusted, as ``{"ca_certs": "path"}``, a certificate of one's own, as ``certfile`` and
    ``keyfile``, and whatever else :func:`kombu.transport.native.tls.read_tls` knows."""

    default_port = 6984
    scheme = "https"


def _name(virtual_host: str | None) -> str:
    name = (virtual_host or "").strip("/") or "kombu"
    if not _NAME.match(name):
        raise InvalidURL(
            f"couchdb: {name!r} cannot be a database: small letters, digits and _$()+-/ only, beginning with a letter"
        )
    return name


def _tls(given: bool | Mapping[str, object], host: str) -> TLS | None:
    if isinstance(given, Mapping) and "server_hostname" in given:
        raise InvalidURL("ssl option server_hostname: the URL's host is verified; write that there")
    return read_tls(given, host)


def _seconds(given: object) -> float:
    try:
        number = float(str(given))
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InvalidURL(f"transport option timeout={given!r} must be a number of seconds above 0")
    return number
