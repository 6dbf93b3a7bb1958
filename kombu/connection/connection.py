"""The connection as programs know it: made from a URL, opened when needed, described without its password."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeGuard, TypeVar

from kombu.connection.described import Described
from kombu.connection.ensuring import OnRevive, Revivable, WithChannel, connected_by, ensured
from kombu.connection.failover import Strategy
from kombu.connection.parameters import Arguments, Credentials, Retrying
from kombu.connection.pooling import ChannelPool, ConnectionPool
from kombu.consumer import Consumer
from kombu.entity import Queue
from kombu.exceptions import ConnectionError, NotSupported, OperationalError
from kombu.producer import Producer
from kombu.transport.base import Billed, Channel, QueueStatistics, Transport, TransportConnection

if TYPE_CHECKING:
    from kombu.simple import SimpleBuffer, SimpleQueue

__all__ = ["BrokerConnection", "Connection", "is_connection"]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Connection(Described):
    """A connection to a broker, opened when first needed.

    ``hostname`` is a URL (``memory://``, ``django://default``), a host name, or several of them in a list or between
    semicolons; ``alternates`` are more of them. Later ones may leave out the scheme, and only that is taken from
    the first. They stand in for each other when connecting, in the order of ``failover_strategy``: ``round-robin``,
    ``shuffle``, or a function that is given the URLs and answers an iterable of them.

    The other arguments complete what the URLs say or override it, but for ``ssl``, ``connect_timeout`` and
    ``heartbeat``, where a URL's query counts more. These two are seconds; each attempt to connect takes
    ``connect_timeout`` at most. ``transport_options`` are the transport's own and may also stand in the query; so may
    the retry options of :attr:`default_channel`. ``credential_provider()`` gives user and password when connecting.
    ``insist`` means nothing any more; ``backend_cls`` is an old name of ``transport``.

    May be shared between threads for everything but :meth:`drain_events`, which is for one thread at a time. A forked
    child that uses it connects anew. Equal are connections that are made from the same. Copies and pickles, which
    hold the password, are not connected.

    Raises :class:`~kombu.exceptions.InvalidURL`; an unknown scheme or a missing driver shows when connecting.
    """

    _pool: ConnectionPool | None = None

    def __init__(
        self,
        hostname: str | Sequence[str] | None = "localhost",
        userid: str | None = None,
        password: str | None = None,
        virtual_host: str | None = None,
        port: int | None = None,
        insist: bool = False,
        ssl: bool | Mapping[str, object] | None = False,
        transport: str | type[Transport] | None = None,
        connect_timeout: float | None = 5.0,
        transport_options: Mapping[str, object] | None = None,
        login_method: str | None = None,
        uri_prefix: str | None = None,
        heartbeat: float | None = 0.0,
        failover_strategy: str | Strategy | None = "round-robin",
        alternates: Sequence[str] | None = None,
        credential_provider: Credentials | None = None,
        backend_cls: str | type[Transport] | None = None,
    ) -> None:
        self._make(
            Arguments(
                hostname=hostname if hostname is None or isinstance(hostname, str) else tuple(hostname),
                alternates=tuple(alternates or ()),
                failover_strategy=failover_strategy,
                credential_provider=credential_provider,
                userid=userid,
                password=password,
                virtual_host=virtual_host,
                port=port,
                ssl=ssl,
                transport=transport or backend_cls,
                connect_timeout=connect_timeout,
                transport_options=dict(transport_options or {}),
                login_method=login_method,
                uri_prefix=uri_prefix,
                heartbeat=heartbeat,
            )
        )

    def connect(self) -> TransportConnection:
        """Connect now: each broker is tried once. Raises :class:`~kombu.exceptions.OperationalError`."""
        return self._line.connect()

    @property
    def connection(self) -> TransportConnection:
        """The open connection of the transport; opened, as by :meth:`connect`, when first asked for."""
        return self._line.connect()

    @property
    def connected(self) -> bool:
        return self._line.connected

    def channel(self) -> Channel:
        """A new channel."""
        return self._line.connect().channel()

    @property
    def default_channel(self) -> Channel:
        """A channel that is kept and shared by what is given the connection itself.

        Connects like :meth:`connect`; where ``transport_options`` or the URL's query name any of ``max_retries``,
        ``interval_start``, ``interval_step``, ``interval_max``, ``connect_retries_timeout`` (the whole), ``errback``
        and ``callback``, like :meth:`ensure_connection` with these.
        """
        retrying = self._line.target.retrying
        if retrying is not None and not self._line.connected:
            connected_by(self._line, retrying)
        return self._line.default_channel()

    def ensure_connection(
        self,
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        interval_start: float = 2.0,
        interval_step: float = 2.0,
        interval_max: float = 30.0,
        callback: Callable[[], object] | None = None,
        reraise_as_library_errors: bool = True,
        timeout: float | None = None,
    ) -> Self:
        """Connect, trying again while that fails; intervals and ``timeout``, which is for the whole, are seconds.

        Where brokers stand in for each other, each failure is followed by an attempt at the next one, and a pause
        comes when all were tried. ``errback(error, seconds)`` is called before each pause, ``callback()`` about once
        a second during one; it may raise to end it. Raises the last :class:`~kombu.exceptions.OperationalError` when
        ``max_retries`` or ``timeout`` is over, with the driver's error as its cause; without
        ``reraise_as_library_errors`` it raises that one, where there is one.
        """
        how = Retrying(
            max_retries=max_retries,
            interval_start=interval_start,
            interval_step=interval_step,
            interval_max=interval_max,
            timeout=timeout,
            errback=errback,
            callback=callback,
        )
        try:
            connected_by(self._line, how)
        except OperationalError as exc:
            if reraise_as_library_errors or not isinstance(exc.__cause__, Exception):
                raise
            raise exc.__cause__ from None
        return self

    def ensure(
        self,
        obj: Revivable,
        fun: Callable[P, T],
        errback: Callable[[Exception, float], object] | None = None,
        max_retries: int | None = None,
        interval_start: float = 1.0,
        interval_step: float = 1.0,
        interval_max: float = 1.0,
        on_revive: OnRevive | None = None,
        retry_errors: tuple[type[Exception], ...] | None = None,
        timeout: float | None = None,
    ) -> Callable[P, T]:
        """``fun`` that is called again after the connection was lost.

        Between, it connects anew and calls ``obj.revive(channel)`` and ``on_revive(channel)``. After the first failure
        that happens at once, later after a pause; ``errback(error, seconds)`` is called before. Errors of
        ``retry_errors`` are tried again on the same channel. Raises the last error when ``max_retries`` or
        ``timeout``, seconds for the whole, is over; ``fun`` itself has to keep to a time of its own.
        """
        how = Retrying(
            max_retries=max_retries,
            interval_start=interval_start,
            interval_step=interval_step,
            interval_max=interval_max,
            timeout=timeout,
            errback=errback,
        )
        retried = (*self.recoverable_channel_errors, *(retry_errors or ()))
        return ensured(self._line, obj, fun, how, on_revive, retried)

    def autoretry(
        self, fun: Callable[..., T], channel: Channel | None = None, **ensure_options: Any
    ) -> Callable[..., tuple[T, Channel]]:
        """``fun`` that is given ``channel=``, and called again with another one after the connection was lost.

        Answers what it returned and the channel. ``channel`` is the first one, otherwise the default channel;
        ``ensure_options`` are those of :meth:`ensure`.
        """
        call = WithChannel(fun, channel, lambda: self.default_channel)
        return self.ensure(call, call, **ensure_options)

    def reconnect(self) -> None:
        """Give up the open connection, broken as it may be; the next use opens a new one.

        Consumers end with it: the next :meth:`drain_events` says so.
        """
        self._line.give_up()

    def collect(self, socket_timeout: float | None = None) -> None:
        """Give up the open connection, and whatever it was used for, without an error.

        ``socket_timeout`` is accepted and not needed: the transport's own timeouts bound it.
        """
        self._line.give_up(told=True)

    def close(self) -> None:
        """Close it: unsettled messages go back to their queues, acknowledgements are written. It may be used again."""
        self._line.close()

    def release(self) -> None:
        """Give it back to the pool it is from; without one, :meth:`close`."""
        if self._pool is None:
            self.close()
        else:
            self._pool.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, traceback: object) -> None:
        if isinstance(exc, ConnectionError):
            self.collect()
        self.release()

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for one message on any of its channels and hand it to its consumer.

        Raises ``TimeoutError`` when none came within ``timeout`` seconds; None waits for ever. Raises
        :class:`~kombu.exceptions.ConnectionError` once when the connection was replaced under its consumers, and
        :class:`~kombu.exceptions.NotFound` when a queue was deleted under its consumers.
        """
        self._line.drain(timeout)

    def interrupt(self) -> None:
        """From any thread: let a :meth:`drain_events` that waits, or else the next one, raise ``TimeoutError`` now."""
        self._line.interrupt()

    def Producer(self, channel: Channel | None = None, *args: Any, **kwargs: Any) -> Producer:
        """A producer on ``channel``, or on the default channel, opened when first needed."""
        return Producer(self if channel is None else channel, *args, **kwargs)

    def Consumer(
        self,
        queues: Queue | Iterable[Queue] | None = None,
        channel: Channel | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Consumer:
        """A consumer on ``channel``, or on the default channel."""
        return Consumer(self if channel is None else channel, queues, *args, **kwargs)

    def SimpleQueue(self, name: str | Queue, *args: Any, channel: Channel | None = None, **kwargs: Any) -> SimpleQueue:
        """A queue with ``put`` and ``get``, on this one or ``channel``'s; see :class:`kombu.simple.SimpleQueue`."""
        from kombu.simple import SimpleQueue

        return SimpleQueue(self if channel is None else channel, name, *args, **kwargs)

    def SimpleBuffer(
        self, name: str | Queue, *args: Any, channel: Channel | None = None, **kwargs: Any
    ) -> SimpleBuffer:
        """The same for messages that may be lost; see :class:`kombu.simple.SimpleBuffer`."""
        from kombu.simple import SimpleBuffer

        return SimpleBuffer(self if channel is None else channel, name, *args, **kwargs)

    def Pool(self, limit: int | None = None, preload: int | None = None) -> ConnectionPool:
        """A pool of connections like this one."""
        return ConnectionPool(self, limit, preload)

    def ChannelPool(self, limit: int | None = None, preload: int | None = None) -> ChannelPool:
        """A pool of this connection's channels."""
        return ChannelPool(self, limit, preload)

    def revive(self, new_channel: Channel) -> None:
        """Go on with another default channel; the one before is closed."""
        before = self._line.keep_channel(new_channel)
        if before is not None:
            self.maybe_close_channel(before)

    def maybe_close_channel(self, channel: Channel) -> None:
        """Close a channel, which may be lost already."""
        try:
            channel.close()
        except (*self.connection_errors, *self.channel_errors) as exc:
            logger.warning("a channel of %s cannot be closed: %s", self.as_uri(), self._line.hide(str(exc)))

    def heartbeat_check(self, rate: int = 2) -> None:
        """Send and look for heartbeats; to be called ``rate`` times an interval.

        Raises :class:`~kombu.exceptions.ConnectionError` when two were missed. Does nothing where the transport has
        none, or sends them by itself, or nothing is connected.
        """
        self._line.heartbeat_check(rate)

    def statistics(self, queues: Iterable[str | Queue] | None = None) -> dict[str, QueueStatistics]:
        """What these queues hold, by name, or all: see :class:`~kombu.transport.base.QueueStatistics`.

        Queues that do not exist are left out. Raises :class:`~kombu.exceptions.NotSupported` where none are named and
        the broker does not tell which there are.
        """
        names = None if queues is None else [each.name if isinstance(each, Queue) else each for each in queues]
        return self._line.connect().statistics(names)

    def billed_requests(self) -> dict[str, int] | None:
        """How many requests it made since it was connected, by the broker's name of them, as the broker bills them.

        None where requests are not paid for, or the transport does not count them: only SQS's does.
        """
        open = self._line.connect()
        return open.billed_requests() if isinstance(open, Billed) else None

    def register_with_event_loop(self, loop: object) -> None:
        """Let an event loop do the receiving; raises ``NotSupported`` where the transport cannot."""
        register = getattr(self.transport, "register_with_event_loop", None)
        if register is None or not self.is_evented:
            raise NotSupported(f"transport {self._line.target.name!r} cannot work in an event loop: use kombu.aio")
        register(self.connection, loop)


BrokerConnection = Connection
"""The specification's name for :class:`Connection`."""


def is_connection(obj: object) -> TypeGuard[Connection]:
    return isinstance(obj, Connection)
