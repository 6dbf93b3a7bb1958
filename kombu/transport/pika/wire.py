"""pika's asyncio adapter with properties that are left as they came, and are written by whoever publishes.

pika cuts fractions in headers to whole numbers, and a header that it cannot read ends the connection: here the bytes of
a header frame are kept, and read by :mod:`kombu.transport.native.properties` when somebody asks for them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from typing import Any

from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection, _AsyncioIOServicesAdapter
from pika.adapters.utils import nbio_interface

__all__ = ["Properties", "Services", "Wire"]

_FRAME = Struct(">BHL")
_HEADER = Struct(">HHQ")
_END = b"\xce"


class Properties(spec.BasicProperties):  # type: ignore[misc]
    """``raw``: flags and values as they stand in a header frame."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def encode(self) -> list[bytes]:
        return [self.raw]


class Services(_AsyncioIOServicesAdapter):  # type: ignore[misc]
    """What pika wants of an event loop. Keeps hold of what carries the bytes, so that it can be cut."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._carrier: nbio_interface.AbstractStreamTransport | None = None
        self._sockets: list[socket.socket] = []

    def connect_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
        self._sockets.append(sock)
        return super().connect_socket(sock, *args, **kwargs)

    def create_streaming_connection(
        self, protocol_factory: Any, sock: socket.socket, on_done: Callable[[Any], object], *args: Any, **kwargs: Any
    ) -> Any:
        def done(result: Any) -> None:
            if not isinstance(result, BaseException):
                self._carrier = result[0]
            on_done(result)

        return super().create_streaming_connection(protocol_factory, sock, done, *args, **kwargs)

    def write(self, data: bytes) -> None:
        """Frames, after those that pika has written."""
        if self._carrier is not None:
            self._carrier.write(data)

    def cut(self) -> None:
        """Both directions, at once: for pika the broker has hung up then."""
        if (open_socket := self._socket()) is not None:
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def drop(self) -> None:
        """Where the event loop is closed, or about to be, and pika cannot do anything any more."""
        if (open_socket := self._socket()) is not None:
            open_socket.close()
        for each in self._sockets:
            each.close()

    def _socket(self) -> socket.socket | None:
        return getattr(self._carrier, "_sock", None)


class Wire(AsyncioConnection):  # type: ignore[misc]
    """One connection to a broker; for its event loop only."""

    def _read_frame(self) -> tuple[int, Any]:
        buffer = self._frame_buffer
        if len(buffer) < _FRAME.size or buffer[0] != spec.FRAME_HEADER:
            return frame.decode_frame(buffer)  # type: ignore[no-any-return]
        _, channel, size = _FRAME.unpack_from(buffer)
        end = _FRAME.size + size
        if len(buffer) <= end or buffer[end : end + 1] != _END:
            return frame.decode_frame(buffer)  # type: ignore[no-any-return]
        _, _, body_size = _HEADER.unpack_from(buffer, _FRAME.size)
        raw = bytes(buffer[_FRAME.size + _HEADER.size : end])
        return end + 1, frame.Header(channel, body_size, Properties(raw))
