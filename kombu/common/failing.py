"""Errors of connections: leaving them out where they do not matter, going on after them where they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol, TypeVar, cast, overload

from kombu.transport.base import Channel

__all__ = ["ignore_errors", "insured", "revive_connection"]

T = TypeVar("T")


class Fails(Protocol):
    """A connection, or what runs on one, as far as its errors go."""

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]: ...

    @property
    def channel_errors(self) -> tuple[type[Exception], ...]: ...


class Insures(Protocol):
    """A connection of a pool, as far as :func:`insured` needs it."""

    @property
    def default_channel(self) -> Channel: ...

    def ensure_connection(self, errback: Callable[[Exception, float], object] | None = None) -> object: ...

    def autoretry(
        self, fun: Callable[..., T], channel: Channel | None = None, **options: Any
    ) -> Callable[..., Any]: ...


class Lends(Protocol):
    """A pool of connections."""

    def acquire(self, block: bool = False) -> AbstractContextManager[Insures]: ...


@overload
def ignore_errors(conn: Fails) -> AbstractContextManager[None]: ...


@overload
def ignore_errors(conn: Fails, fun: Callable[..., T], *args: object, **kwargs: object) -> T | None: ...


def ignore_errors(conn: Fails, fun: Callable[..., Any] | None = None, *args: object, **kwargs: object) -> Any:
    """Call ``fun(*args, **kwargs)`` and make None of an error of the connection or of a channel, or do the same for a
    block: ``with ignore_errors(connection): …``. For cleaning up where there may be nothing left to clean."""
    ignoring = suppress(*conn.connection_errors, *conn.channel_errors)
    if fun is None:
        return ignoring
    with ignoring:
        return fun(*args, **kwargs)
    return None


def insured(
    pool: Lends,
    fun: Callable[..., T],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    errback: Callable[[Exception, float], object] | None = None,
    on_revive: Callable[[Channel], object] | None = None,
    **opts: Any,
) -> T:
    """Call ``fun(*args, connection=…, channel=…, **kwargs)`` with a connection of ``pool``, again with a new channel
    when the connection is lost meanwhile.

    ``errback(error, seconds)`` hears of each failure, ``on_revive(channel)`` of each new channel; ``opts`` are those
    of :meth:`kombu.Connection.autoretry`.
    """
    with pool.acquire(block=True) as connection:
        connection.ensure_connection(errback=errback)
        call = connection.autoretry(
            fun,
            connection.default_channel,
            errback=errback,
            on_revive=lambda channel: revive_connection(connection, channel, on_revive),
            **opts,
        )
        value, _ = call(*args, **{**kwargs, "connection": connection})
        return cast(T, value)


def revive_connection(
    connection: object, channel: Channel, on_revive: Callable[[Channel], object] | None = None
) -> None:
    """Tell ``on_revive`` of the channel that took the place of a lost one."""
    if on_revive is not None:
        on_revive(channel)
