"""Pools of connections, and of one connection's channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kombu.exceptions import ChannelLimitExceeded, ConnectionLimitExceeded, NotBoundError
from kombu.resource import Resource
from kombu.transport.base import Channel

if TYPE_CHECKING:
    from kombu.connection.connection import Connection

__all__ = ["ChannelPool", "ConnectionPool", "PoolChannelContext", "PooledChannel"]


class ConnectionPool(Resource["Connection"]):
    """Connections that are like ``connection``, each opened when it is first needed; ``preload`` opens some at once.

    ``with pool.acquire() as connection:`` gives it back at the end, and so does ``connection.release()``; ``close()``
    disconnects it, and it stays acquired. One that was lost, or comes back with consumers, is disconnected
    before others may have it.
    """

    LimitExceeded = ConnectionLimitExceeded

    def __init__(
        self,
        connection: Connection,
        limit: int | None = None,
        preload: int | None = None,
        close_after_fork: bool | None = None,
    ) -> None:
        self.connection = connection
        self._only_looks = type(self).release_resource is ConnectionPool.release_resource
        super().__init__(limit, preload, close_after_fork)

    def new(self) -> Connection:
        """A copy of the connection that the pool was made with."""
        made = self.connection.clone()
        made._pool = self
        return made

    def setup(self) -> None:
        super().setup()
        for connection in list(self._idle):
            connection.connect()

    def is_ready(self, resource: Connection) -> bool:
        return self._only_looks and not resource._line.doubtful

    def release_resource(self, resource: Connection) -> None:
        if resource._line.doubtful:
            resource.collect()

    def close_resource(self, resource: Connection) -> None:
        resource._pool = None
        resource.close()

    def collect_resource(self, resource: Connection, socket_timeout: float | None = None) -> None:
        resource._pool = None
        resource.collect(socket_timeout)

    def _forked(self) -> None:
        if self._close_after_fork:
            for connection in self._lent.values():
                connection._pool = None
        super()._forked()

    @contextmanager
    def acquire_channel(
        self, block: bool = False, timeout: float | None = None
    ) -> Iterator[tuple[Connection, Channel]]:
        """A connection and its default channel, for one ``with`` block."""
        with self.acquire(block, timeout) as connection:
            yield connection, connection.default_channel


if TYPE_CHECKING:
    _AnyChannel = Channel
else:
    _AnyChannel = object


class PooledChannel(_AnyChannel):
    """A channel that goes back to its pool with :meth:`release`, or at the end of a ``with`` block."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool
        self._channel: Channel | None = None

    def __getattr__(self, name: str) -> Any:
        if self._channel is None:
            raise NotBoundError(f"this channel was given back to its pool and is not open: no {name!r}")
        return getattr(self._channel, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    @property
    def is_open(self) -> bool:
        return self._channel is not None and self._channel.is_open

    def release(self) -> None:
        """Give it back. Doing that twice is harmless, using it then is not."""
        self._pool.release(self)

    def close(self) -> None:
        """Close the channel itself; it stays acquired."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def open(self) -> None:
        """Open one where it was lost or not opened yet."""
        if self._channel is None or not self._channel.is_open:
            self._channel = self._pool.connection.channel()


class ChannelPool(Resource[PooledChannel]):
    """Channels of ``connection``; those that were lost with it are opened again when they are acquired."""

    LimitExceeded = ChannelLimitExceeded

    def __init__(
        self,
        connection: Connection,
        limit: int | None = None,
        preload: int | None = None,
        close_after_fork: bool | None = None,
    ) -> None:
        self.connection = connection
        super().__init__(limit, preload, close_after_fork)

    def new(self) -> PooledChannel:
        return PooledChannel(self)  # type: ignore[abstract]  # __getattr__ has the rest

    def setup(self) -> None:
        super().setup()
        for channel in list(self._idle):
            channel.open()

    def prepare(self, resource: PooledChannel) -> PooledChannel:
        resource.open()
        return resource

    def collect_resource(self, resource: PooledChannel) -> None:
        self.connection.maybe_close_channel(resource)


class PoolChannelContext:
    """A connection of ``pool`` and its default channel, for each ``with`` block."""

    def __init__(self, pool: ConnectionPool, block: bool = False) -> None:
        self._pool, self._block = pool, block
        self._open: list[AbstractContextManager[tuple[Connection, Channel]]] = []

    def __enter__(self) -> tuple[Connection, Channel]:
        context = self._pool.acquire_channel(self._block)
        lent = context.__enter__()
        self._open.append(context)
        return lent

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.pop().__exit__(kind, exc, traceback)
