"""Consumer: receiving objects with ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from kombu.aio.message import Message
from kombu.aio.subscription import Subscription
from kombu.entity import Queue
from kombu.exceptions import NotBoundError
from kombu.retry import RetryPolicy

if TYPE_CHECKING:
    from kombu.aio.connection import Connection

__all__ = ["Consumer"]

COME_BACK = RetryPolicy()
"""Without end, after 0.5, 1.5, 2.5 ... 30 seconds, less up to a fifth."""


class Consumer:
    """Receives messages from queues inside ``async with``; made by :meth:`kombu.aio.Connection.Consumer`.

    ``async for message in consumer`` or ``await consumer.get(timeout=…)``; several coroutines of one event loop may
    do so at once. At most ``prefetch_count`` messages are out and unsettled for each queue; None means the
    transport's default. When the block is left, however that happens, what nobody has seen goes back to its queue
    at once and in order, and so does what was received and not settled: settle inside the block.

    ``no_ack``: a message is acknowledged by itself when it is handed out. ``accept`` lists the serializers or
    content types that may be decoded; None means those that are enabled.

    When the connection is lost, the consumer comes back by itself, as ``reconnect`` says; what it held is delivered
    again. When the attempts of ``reconnect`` are used up, or it is None, the error is raised where the consumer
    waits for a message. So is :class:`~kombu.exceptions.NotFound` when its queue was deleted.
    """

    def __init__(
        self,
        connection: Connection,
        queues: Queue | Iterable[Queue],
        *,
        no_ack: bool = False,
        auto_declare: bool = True,
        accept: Iterable[str] | None = None,
        prefetch_count: int | None = None,
        tag_prefix: str | None = None,
        reconnect: RetryPolicy | None = COME_BACK,
    ) -> None:
        self._connection = connection
        self._queues = [queues] if isinstance(queues, Queue) else list(queues)
        self._no_ack = no_ack
        self._auto_declare = auto_declare
        self._accept = accept if accept is None else list(accept)
        self._prefetch_count = prefetch_count
        self._tag_prefix = tag_prefix
        self._reconnect = reconnect
        self._subscription: Subscription | None = None

    def __repr__(self) -> str:
        return f"<Consumer {', '.join(queue.name for queue in self._queues)}>"

    async def __aenter__(self) -> Self:
        """Declare the queues and begin; raises what that raises. It does not wait for a broker to come back."""
        if self._subscription is not None and not self._subscription.ended:
            raise NotBoundError(f"{self!r} is consuming already")
        subscription = Subscription(
            self._queues,
            accept=self._accept,
            prefetch_count=self._prefetch_count,
            auto_declare=self._auto_declare,
            tag_prefix=self._tag_prefix,
            reconnect=self._reconnect,
        )
        await self._connection.link.subscribe(subscription)
        self._subscription = subscription
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.cancel()

    async def cancel(self) -> None:
        """Stop consuming and give back all that is not settled; iterations end. Harmless when it has ended."""
        if self._subscription is not None:
            await self._connection.link.unsubscribe(self._subscription)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        message = await self._next()
        if message is None:
            raise StopAsyncIteration
        return message

    async def get(self, timeout: float | None = None) -> Message:
        """The next message; None waits for ever.

        Raises ``TimeoutError`` when none came within ``timeout`` seconds, and ``NotBoundError`` when the consumer
        was cancelled. Who is cancelled while waiting takes no message along.
        """
        try:
            async with asyncio.timeout(timeout):
                message = await self._next()
        except TimeoutError as error:
            trouble = self._subscription.trouble if self._subscription else None
            reason = f": {trouble}" if trouble else ""
            raise TimeoutError(f"no message within {timeout} seconds{reason}") from trouble or error
        if message is None:
            raise NotBoundError(f"{self!r} was cancelled")
        return message

    async def _next(self) -> Message | None:
        if self._subscription is None:
            raise NotBoundError(f"{self!r} is not consuming: use it with 'async with'")
        message = await self._subscription.next()
        if message is None:
            return None
        if self._no_ack:
            self._connection.link.settle_later(message.ack)
        return Message(message, self._connection.link, self._no_ack)
