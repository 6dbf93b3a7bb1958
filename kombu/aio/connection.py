"""Connection: what a coroutine holds to talk to a broker, made from a URL."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kombu import connection, producer
from kombu.aio.consumer import Consumer
from kombu.aio.link import Link
from kombu.aio.message import Message
from kombu.aio.native import NativeLink
from kombu.aio.producer import Producer, Recorder
from kombu.aio.retrying import retry
from kombu.aio.signatures import takes_what
from kombu.aio.simple import SimpleQueue, requeue
from kombu.aio.thread import ThreadLink
from kombu.entity import Exchange, Queue
from kombu.exceptions import MissingDriver, UnknownTransport
from kombu.retry import RetryPolicy

__all__ = ["Connection"]

P = ParamSpec("P")
T = TypeVar("T")


def of_queue(
    method: Callable[Concatenate[Queue, P], T],
) -> Callable[Concatenate[Connection, Queue | str, P], Awaitable[T]]:
    """The same method of a queue, which need not be bound, as one of the connection that is awaited."""

    async def call(self: Connection, queue: Queue | str, /, *args: P.args, **options: P.kwargs) -> T:
        named = Queue(queue) if isinstance(queue, str) else queue
        return await self.run(lambda blocking: method(named(blocking), *args, **options))

    update_wrapper(call, method)
    return call


class Connection:
    """A connection to a broker, opened when first needed; the arguments are those of :class:`kombu.Connection`.

    It owns a thread, which begins with the first ``await`` and ends with :meth:`close` or ``async with``; it does not
    keep the interpreter from exiting. With a driver that is asynchronous itself (``pika://``) messages come, are
    settled and published in the event loop, and the thread is for what is rare. Any number of coroutines may share it,
    and several event loops too. Once closed, and in a forked child, it refuses with ``NotBoundError``.
    """

    @takes_what(connection.Connection.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        self._blocking = connection.Connection(*args, **options)
        self.link: Link = _link(self._blocking)

    def __repr__(self) -> str:
        return repr(self._blocking)

    def __del__(self) -> None:
        link: Link | None = getattr(self, "link", None)
        if link is not None and link.running:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)
            link.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back what is not settled, write what is owed, disconnect and end the thread. Closing twice is harmless.

        Consumers end. It happens even when the caller is cancelled meanwhile.
        """
        await self.link.close()

    async def run(self, work: Callable[[connection.Connection], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work(connection)`` returns, called in the thread with the blocking connection.

        For what has no verb of its own here: ``await connection.run(lambda c: c.info())``. All others wait
        meanwhile, so it must not wait for messages. ``undo(result)`` is called in the thread where the caller was
        cancelled and the work was done all the same.
        """
        return await self.link.run(work, undo)

    async def connect(self) -> None:
        """Connect now, once; raises :class:`~kombu.exceptions.OperationalError` where that fails."""
        await self.run(_connect)

    async def ensure_connection(
        self,
        timeout: float | None = None,
        policy: RetryPolicy | None = None,
        errback: Callable[[Exception, float], object] | None = None,
    ) -> Self:
        """Connect, trying again while that fails, by ``policy`` and for ``timeout`` seconds at most.

        ``errback(error, seconds)`` is called before each pause. Raises the last ``OperationalError``.
        """
        await retry(self.connect, policy or RetryPolicy(), timeout, errback)
        return self

    @takes_what(producer.Producer)
    def Producer(self, *args: Any, **options: Any) -> Producer:
        """A producer; the arguments are those of :class:`kombu.Producer` behind the channel."""
        return Producer(self, Recorder(self._blocking, *args, **options))

    @takes_what(Consumer)
    def Consumer(self, *args: Any, **options: Any) -> Consumer:
        """A consumer, to be used with ``async with``."""
        return Consumer(self, *args, **options)

    @takes_what(SimpleQueue)
    def SimpleQueue(self, *args: Any, **options: Any) -> SimpleQueue:
        """A queue as programs know queues: put and get."""
        return SimpleQueue(self, *args, **options)

    async def declare(self, entity: Exchange | Queue) -> str:
        """Declare an exchange, or a queue with its exchange and bindings; answers the name."""

        def declare(blocking: connection.Connection) -> str:
            bound = entity(blocking)
            bound.declare()
            return bound.name

        return await self.run(declare)

    async def delete(self, entity: Exchange | Queue, if_unused: bool = False, if_empty: bool = False) -> int:
        """Remove an exchange, or a queue with its messages; answers how many those were."""
        if isinstance(entity, Queue):
            return await self._delete_queue(entity, if_unused, if_empty)
        await self.run(lambda blocking: entity(blocking).delete(if_unused))
        return 0

    async def get(
        self, queue: Queue | str, no_ack: bool = False, accept: Iterable[str] | None = None
    ) -> Message | None:
        """One message, or None when none is ready. ``no_ack``: it is acknowledged by itself."""
        named = Queue(queue) if isinstance(queue, str) else queue
        found = await self.run(
            lambda blocking: named(blocking).get(no_ack=False, accept=accept),
            undo=requeue,
        )
        if found is None:
            return None
        if no_ack:
            self.link.settle_later(found.ack)
        return Message(found, self.link, no_ack)

    bind = of_queue(Queue.bind_to)
    unbind = of_queue(Queue.unbind_from)
    purge = of_queue(Queue.purge)
    queue_declare = of_queue(Queue.queue_declare)
    _delete_queue = of_queue(Queue.delete)

    @takes_what(connection.Connection.as_uri)
    def as_uri(self, *args: Any, **options: Any) -> str:
        """The URL, with the password masked unless asked for."""
        return self._blocking.as_uri(*args, **options)

    def info(self) -> dict[str, Any]:
        """What it was made from, without the password."""
        return self._blocking.info()


def _link(blocking: connection.Connection) -> Link:
    """What does the work: the event loop itself where the transport's driver can, otherwise a thread.

    What is wrong with the transport's name shows when connecting.
    """
    try:
        native = blocking.get_transport_cls().implements.asyncio
    except (UnknownTransport, MissingDriver):
        native = False
    return NativeLink(blocking) if native else ThreadLink(blocking)


def _connect(blocking: connection.Connection) -> None:
    blocking.connect()
