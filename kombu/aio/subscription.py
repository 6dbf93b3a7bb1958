"""One consumer's messages on their way from the thread to its event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from kombu import consumer
from kombu.aio.jobs import Outbox
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import NotFound
from kombu.message import Message
from kombu.retry import RetryPolicy
from kombu.transport.base import Channel

_IN_A_ROW = 32
"""How many messages one coroutine takes before the others of its event loop get their turn, even if it never waits."""

_LIVELY_FOR = 1.0
"""Seconds after a message in which another one is likely."""


class Subscription:
    """What a consumer wants, and what has arrived for it.

    The thread opens, fills and ends it; the event loop takes messages out. Each message is taken once: by the
    event loop, or by the thread, which gives it back. ``on`` gives a channel that others use too, and which outlives
    it; otherwise it has its own.
    """

    def __init__(
        self,
        queues: Iterable[Queue],
        *,
        accept: Iterable[str] | None = None,
        prefetch_count: int | None = None,
        auto_declare: bool = True,
        tag_prefix: str | None = None,
        reconnect: RetryPolicy | None = None,
        on: Callable[[Connection], Channel] | None = None,
    ) -> None:
        self.queues = list(queues)
        self.reconnect = reconnect
        self.loop = asyncio.get_running_loop()
        self.waiting = 0
        """How many coroutines have nothing to do until something arrives."""
        self.nudge: Callable[[], None] = _nobody
        """Called in the event loop when something is waited for."""
        self.attempts = 0
        self.again_at: float | None = None
        """When the thread tries to open it again."""
        self.ended = False
        self.orphaned = False
        """Its event loop is closed."""
        self.error: Exception | None = None
        """What ended it."""
        self.trouble: Exception | None = None
        """Why nothing comes at the moment."""
        self._accept = None if accept is None else list(accept)
        self._prefetch_count = prefetch_count
        self._auto_declare = auto_declare
        self._tag_prefix = tag_prefix
        self._on = on
        self._taken = 0
        self._latest = 0.0
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._consumer: consumer.Consumer | None = None

    def __repr__(self) -> str:
        return ", ".join(repr(queue.name) for queue in self.queues)

    async def next(self) -> Message | None:
        """The next message; None when it has ended. Raises the error that ended it."""
        self._taken += 1
        if self._taken % _IN_A_ROW == 0:
            await asyncio.sleep(0)
        while True:
            try:
                return self._messages.popleft()
            except IndexError:
                if self.ended:
                    break
            await self._change()
        if self.error is not None:
            raise self.error
        return None

    async def _change(self) -> None:
        self._changed.clear()
        self.waiting += 1
        try:
            if self.lively:
                self.nudge()
            await self._changed.wait()
        finally:
            self.waiting -= 1

    def tell(self) -> None:
        """In the event loop: something has arrived, or it has ended."""
        self._changed.set()

    def untold(self) -> None:
        self.orphaned = True

    @property
    def lively(self) -> bool:
        """Whether more is likely to be there."""
        return time.monotonic() - self._latest < _LIVELY_FOR

    @property
    def is_open(self) -> bool:
        return self._consumer is not None

    def open(self, connection: Connection, outbox: Outbox) -> None:
        """Declare and consume, on a channel of its own; all of it or nothing."""

        def arrived(message: Message) -> None:
            self._messages.append(message)
            self._latest = time.monotonic()
            outbox.add(self.loop, self)

        with ExitStack() as undo:
            channel = self._on(connection) if self._on else connection.channel()
            if not self._on:
                undo.callback(channel.close)
            opened = consumer.Consumer(
                channel,
                self.queues,
                auto_declare=self._auto_declare,
                on_message=arrived,
                accept=self._accept,
                prefetch_count=self._prefetch_count,
                tag_prefix=self._tag_prefix,
            )
            opened.consume()
            undo.pop_all()
        self._consumer, self.again_at, self.trouble = opened, None, None

    def close(self) -> None:
        """Cancel, and give back what nobody has seen and, on a channel of its own, all that is not settled."""
        opened, self._consumer = self._consumer, None
        if opened is None:
            return
        with ExitStack() as stack:
            if not self._on:
                stack.callback(opened.channel.close)
            stack.callback(self._give_back)
            opened.cancel()

    def forget(self) -> None:
        """The connection is gone, and with it what was delivered on it."""
        self._consumer = None
        self._messages.clear()

    def end(self, error: Exception | None, outbox: Outbox) -> None:
        """Nothing comes any more; with an error, whoever waits gets it."""
        self.again_at = None
        self.ended, self.error = True, error
        outbox.add(self.loop, self)

    def lost_its_queue(self) -> bool:
        """Whether one of its queues does not exist any more."""
        if self._consumer is None:
            return False
        try:
            for queue in self._consumer.queues:
                self._consumer.channel.queue_declare(queue.name, passive=True)
        except NotFound:
            return True
        return False

    def _give_back(self) -> None:
        """What nobody has seen, before the channel gives back the rest."""
        while self._messages:
            self._messages.popleft().requeue(counted=False)


def _nobody() -> None:
    """Nobody needs to know."""
