"""Connecting: TCP, TLS and AMQP's handshake, all of it within one deadline. The handshake is py-amqp's."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from struct import Struct
from struct import error as StructError
from time import monotonic
from typing import Any, NoReturn

import amqp
from amqp import sasl
from amqp.exceptions import AMQPError

from kombu.exceptions import InvalidURL, KombuError, OperationalError
from kombu.transport.amqp.options import SocketOptions
from kombu.transport.base import Address
from kombu.transport.native.errors import refused_entry
from kombu.transport.native.options import Options, heartbeat_of, virtual_host_of
from kombu.transport.native.tls import TLS, read_tls

__all__ = ["Opened", "dial"]

GREETING = b"AMQP\x00\x00\x09\x01"
_FRAME = Struct(">BHI")
_FRAME_END = 0xCE
_MOST = 2**24
"""Bytes in a frame of a handshake; the frame before it is known how many there may be."""

MECHANISMS = ("PLAIN", "AMQPLAIN", "EXTERNAL")


@dataclass(frozen=True, slots=True)
class Opened:
    """An open connection: its socket, which does not block, and what was agreed on."""

    sock: socket.socket
    channel_max: int
    frame_max: int
    heartbeat: float
    server: str


def dial(address: Address, options: Options, settings: SocketOptions, port: int, secure: bool) -> Opened:
    """Raises :class:`~kombu.exceptions.OperationalError`, which says what to do, or ``AccessRefused``."""
    host = address.hostname or "localhost"
    port = address.port or port
    given = address.ssl or secure
    tls = read_tls(given, host)
    mechanism = _mechanism(address)
    deadline = monotonic() + address.connect_timeout
    where = f"{host}:{port}"
    sock = _connected(host, port, deadline, where, settings)
    try:
        if tls is not None:
            sock = _encrypted(sock, tls, deadline, where)
        opened = _Greeting(sock, deadline, address, options, mechanism, where).opened(tls is not None)
        return replace(opened, frame_max=min(settings.frame_max or opened.frame_max, opened.frame_max))
    except BaseException:
        sock.close()
        raise


def _connected(host: str, port: int, deadline: float, where: str, settings: SocketOptions) -> socket.socket:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise OperationalError(f"{where}: the host name is not known: {exc}") from exc
    error: OSError | None = None
    for family, kind, proto, _, place in entries:
        left = deadline - monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(left)
            sock.connect(place)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in settings.settings.items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError as exc:
            sock.close()
            error = exc
        else:
            return sock
    if error is None or isinstance(error, TimeoutError):
        raise OperationalError(f"{where} did not answer within connect_timeout") from error
    raise OperationalError(f"{where}: {error.strerror or error}. Is the broker running, and the port right?") from error


def _encrypted(sock: socket.socket, tls: TLS, deadline: float, where: str) -> socket.socket:
    try:
        sock.settimeout(max(deadline - monotonic(), 0.001))
        return tls.context.wrap_socket(sock, server_hostname=tls.server_hostname)
    except ssl.SSLCertVerificationError as exc:
        raise OperationalError(
            f"{where}: the certificate cannot be trusted for {tls.server_hostname!r}: {exc.verify_message}. Give the"
            " authority that signed it (ssl ca_certs) or the name it is for (ssl server_hostname)"
        ) from exc
    except TimeoutError as exc:
        raise OperationalError(f"{where} did not answer to TLS within connect_timeout: {exc}") from exc
    except OSError as exc:
        raise OperationalError(
            f"{where}: no TLS: {exc}. Is that the port for TLS (RabbitMQ: 5671), and is a client certificate asked for"
            " (ssl certfile, keyfile)?"
        ) from exc


def _mechanism(address: Address) -> sasl.SASL:
    user, password = address.userid or "guest", address.password or "guest"
    name = (address.login_method or "PLAIN").upper()
    if name == "PLAIN":
        return sasl.PLAIN(user, password)
    if name == "AMQPLAIN":
        return sasl.AMQPLAIN(user, password)
    if name == "EXTERNAL":
        return sasl.EXTERNAL()
    raise InvalidURL(f"login_method={address.login_method!r}: known are {', '.join(MECHANISMS)}")


class _Line:
    """A socket as py-amqp's connection knows it during the handshake; it keeps the deadline of the whole."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.connected = True
        self._deadline = deadline

    def connect(self) -> None:
        self.write(GREETING)

    def write(self, data: Any) -> None:
        self._keep_deadline()
        self.sock.sendall(data)

    def read_frame(self) -> tuple[int, int, bytes]:
        kind, number, size = _FRAME.unpack(self._read(_FRAME.size))
        if kind not in (1, 2, 3, 8) or size > _MOST:
            raise StructError("no frame of AMQP 0-9-1")
        payload = self._read(size + 1)
        if payload[-1] != _FRAME_END:
            raise StructError("a frame without its end")
        return kind, number, payload[:-1]

    @contextmanager
    def having_timeout(self, timeout: float | None) -> Iterator[socket.socket]:
        yield self.sock

    def close(self) -> None:
        """Who dialled closes the socket."""
        self.connected = False

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            self._keep_deadline()
            part = self.sock.recv(count)
            if not part:
                raise EOFError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _keep_deadline(self) -> None:
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Connection(amqp.Connection):  # type: ignore[misc]
    """py-amqp's, over a socket that is connected already."""

    line: _Line

    def Transport(self, *args: object, **kwargs: object) -> _Line:
        return self.line


class _Greeting:
    """One handshake."""

    def __init__(
        self,
        sock: socket.socket,
        deadline: float,
        address: Address,
        options: Options,
        mechanism: sasl.SASL,
        where: str,
    ) -> None:
        self._sock = sock
        self._user = address.userid or "guest"
        self._virtual_host = virtual_host_of(address)
        self._where = where
        self._mechanism = mechanism
        self._connection = _Connection(
            host=where,
            authentication=mechanism,
            virtual_host=self._virtual_host,
            heartbeat=heartbeat_of(address),
            connect_timeout=address.connect_timeout,
            client_properties={"connection_name": "kombu", **options.client_properties},
        )
        self._connection.line = _Line(sock, deadline)

    def opened(self, encrypted: bool) -> Opened:
        connection = self._connection
        try:
            connection.connect()
        except AMQPError as exc:
            self._refused(exc)
        except TimeoutError as exc:
            raise OperationalError(f"{self._where} did not greet within connect_timeout{_hint(encrypted)}") from exc
        except EOFError as exc:
            raise OperationalError(f"{self._where} hung up during the greeting{_hint(encrypted)}") from exc
        except OSError as exc:
            raise OperationalError(f"{self._where}: {exc.strerror or exc}{_hint(encrypted)}") from exc
        except (StructError, ValueError, IndexError, KeyError) as exc:
            raise OperationalError(f"{self._where} does not speak AMQP 0-9-1: {exc}{_hint(encrypted)}") from exc
        self._sock.setblocking(False)
        server = connection.server_properties
        return Opened(
            self._sock,
            connection.channel_max or 65535,
            connection.frame_max or 131072,
            float(connection.heartbeat or 0),
            f"{server.get('product', 'a broker')} {server.get('version', '')}".strip(),
        )

    def _refused(self, exc: AMQPError) -> NoReturn:
        code, text = int(exc.reply_code or 0), str(exc.reply_text or exc)
        error: KombuError
        if not code:
            offered = b", ".join(self._connection.mechanisms).decode("ascii", "replace")
            error = OperationalError(
                f"{self._where} takes no login_method {self._mechanism.mechanism.decode()}: it offers {offered}"
            )
        else:
            error = refused_entry(code, text, user=self._user, virtual_host=self._virtual_host, address=self._where)
        raise error from exc


def _hint(encrypted: bool) -> str:
    if encrypted:
        return ""
    return ". Is that the broker's port for AMQP, and does it want TLS (amqps://)?"
