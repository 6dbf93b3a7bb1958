"""SimpleQueue: put and get, for programs that need no more of AMQP than that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from queue import Empty
from typing import TYPE_CHECKING, Any, ClassVar, Self

from kombu import connection, message, producer
from kombu.aio.message import Message
from kombu.aio.signatures import takes_what
from kombu.aio.subscription import Subscription
from kombu.entity import Exchange, Queue
from kombu.exceptions import NotSupported
from kombu.serialization import prepare_accept_content
from kombu.transport.base import Channel

if TYPE_CHECKING:
    from kombu.aio.connection import Connection

__all__ = ["SimpleQueue"]


class SimpleQueue:
    """A queue with a direct exchange of its own, both of its name; or any :class:`~kombu.Queue`.

    It asks the broker for one message at a time, so that nothing is held back from other consumers. Messages are to
    be settled unless ``no_ack``; :meth:`close`, or the end of ``async with``, gives back what is not.
    """

    Empty: ClassVar[type[Exception]] = Empty
    """Raised when no message came in time: the standard library's ``queue.Empty``."""

    def __init__(
        self,
        connection: Connection,
        name: str | Queue,
        no_ack: bool = False,
        serializer: str | None = None,
        compression: str | None = None,
        accept: Iterable[str] | None = None,
    ) -> None:
        self.queue = Queue(name, Exchange(name, "direct"), name) if isinstance(name, str) else name
        if self.queue.auto_delete:
            raise NotSupported(f"queue {self.queue.name!r} goes with its last consumer: use a Consumer")
        self._connection = connection
        self._no_ack = no_ack
        self._accept = None if accept is None else list(accept)
        self._channel: Channel | None = None
        self._producer = connection.Producer(
            self.queue.exchange,
            self.queue.routing_key if self.queue.exchange else self.queue.name,
            serializer=serializer,
            compression=compression,
        )

    def __repr__(self) -> str:
        return f"<SimpleQueue {self.queue.name!r}>"

    @takes_what(producer.Producer.publish)  # type: ignore[arg-type]
    async def put(self, *args: Any, **options: Any) -> None:
        """Put an object into the queue; the arguments are those of :meth:`kombu.Producer.publish`."""
        options.setdefault("declare", [self.queue])
        await self._producer.publish(*args, **options)

    async def get(self, timeout: float | None = None) -> Message:
        """The next message; raises :attr:`Empty` when none came within ``timeout`` seconds, None waits for ever."""
        found = await self._ready()
        if found is None:
            try:
                async with asyncio.timeout(timeout):
                    found = await self._wait()
            except TimeoutError as error:
                raise Empty(f"queue {self.queue.name!r}: no message within {timeout} seconds") from error
        return self._handed(found)

    async def get_nowait(self) -> Message:
        """The message that is ready; raises :attr:`Empty` when there is none."""
        found = await self._ready()
        if found is None:
            raise Empty(f"queue {self.queue.name!r} is empty")
        return self._handed(found)

    async def qsize(self) -> int:
        """How many messages are ready."""
        return await self._connection.run(
            lambda blocking: self._bound(blocking).queue_declare(passive=True).message_count
        )

    async def clear(self) -> int:
        """Remove what is ready; answers how many messages those were."""
        return await self._connection.run(lambda blocking: self._bound(blocking).purge())

    async def close(self) -> None:
        """Give back what was got and not settled, even when the caller is cancelled. The next call begins anew."""

        def close(blocking: connection.Connection) -> None:
            channel, self._channel = self._channel, None
            if channel is not None and channel.is_open:
                channel.close()

        if self._connection.link.running:
            await asyncio.shield(self._connection.run(close))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _ready(self) -> message.Message | None:
        return await self._connection.run(lambda blocking: self._bound(blocking).get(accept=self._accept), undo=requeue)

    async def _wait(self) -> message.Message:
        """Consume until one message is there. Each wait has a consumer of its own, which may hold one more."""
        subscription = Subscription([self.queue], accept=self._accept, prefetch_count=1, on=self._on)
        link = self._connection.link
        await link.subscribe(subscription)
        found = None
        try:
            found = await subscription.next()
        finally:
            try:
                await link.unsubscribe(subscription)
            except BaseException:
                if found is not None:
                    link.settle_later(found.requeue)
                raise
        if found is None:
            raise Empty(f"queue {self.queue.name!r}: the connection was closed")
        return found

    def _handed(self, found: message.Message) -> Message:
        if self._accept is not None:
            found.accept = prepare_accept_content(self._accept)
        if self._no_ack:
            self._connection.link.settle_later(found.ack)
        return Message(found, self._connection.link, self._no_ack)

    def _bound(self, blocking: connection.Connection) -> Queue:
        """In the thread: the queue, declared on the channel of its own."""
        fresh = self._channel is None or not self._channel.is_open
        bound = self.queue(self._on(blocking))
        if fresh:
            bound.declare()
        return bound

    def _on(self, blocking: connection.Connection) -> Channel:
        if self._channel is None or not self._channel.is_open:
            self._channel = blocking.channel()
        return self._channel


def requeue(found: message.Message | None) -> None:
    """Give back what came too late for its caller."""
    if found is not None:
        found.requeue(counted=False)
