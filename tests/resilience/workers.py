"""Consumers of each kind that come back by themselves, and publishers that try again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from kombu import Connection, Consumer, Message, Queue, aio
from kombu.exceptions import ConnectionError, KombuError, OperationalError, PublishUncertain
from kombu.mixins import ConsumerMixin, MakesConsumers
from kombu.transport.base import Channel
from kombu.utils.limits import TokenBucket
from tests.background import LONG
from tests.resilience.ledger import Ledger

TICK = 0.1
"""Seconds that a consumer waits for a message before it looks about."""
AT_ONCE = {"interval_start": 0.05, "interval_step": 0.05, "interval_max": 0.5}
SOON = aio.RetryPolicy(**AT_ONCE)

Handle = Callable[[Message | aio.Message], object]


class Worker:
    """Consumes one queue until it is stopped, and acknowledges everything.

    ``idle`` is set each time when it has waited for messages in vain, and has flushed its acknowledgements;
    ``handle`` is called with each message, before it is acknowledged; ``settings`` are arguments of its connection.
    """

    def __init__(
        self, url: str, settings: Mapping[str, Any], queue: str, ledger: Ledger, handle: Handle = lambda _: None
    ) -> None:
        self.url = url
        self.settings = settings
        self.queue = Queue(queue)
        self.ledger = ledger
        self.handle = handle
        self.idle = threading.Event()
        self.stopped = threading.Event()
        self._acked: set[str] = set()

    def run(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.stopped.set()

    def connect(self) -> Connection:
        return Connection(self.url, **self.settings)

    def begin(self) -> None:
        """On a new connection."""
        self._acked.clear()

    def receive(self, body: Any, message: Message) -> None:
        self.idle.clear()
        self.ledger.deliver(message)
        self.handle(message)
        message.ack()
        self._acked.add(str(body))

    def rest(self, channel: Channel) -> None:
        """Nothing came: what is acknowledged is on its way, and what is asked now is answered after it."""
        self.queue(channel).queue_declare(passive=True)
        self.ledger.flush(self._acked)
        self._acked.clear()
        self.idle.set()


class Mixed(Worker, ConsumerMixin):
    """By ``ConsumerMixin``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connection = self.connect()
        self.restart_limit = TokenBucket(10)
        self._waited = False

    def run(self) -> None:  # type: ignore[override]
        ConsumerMixin.run(self, safety_interval=TICK)

    def stop(self) -> None:
        self.should_stop = True

    def get_consumers(self, Consumer: MakesConsumers, channel: Channel) -> list[Consumer]:
        self.begin()
        self._channel, self._waited = channel, False
        return [Consumer([self.queue], callbacks=[self._receive], prefetch_count=PREFETCH)]

    def on_iteration(self) -> None:
        if self._waited:
            self.rest(self._channel)
        self._waited = True

    def _receive(self, body: Any, message: Message) -> None:
        self._waited = False
        self.receive(body, message)


class Plain(Worker):
    """By hand, as the guide says: drain, and after an error connect, revive the consumer, and go on."""

    def run(self) -> None:
        with self.connect() as connection:
            connection.ensure_connection(**AT_ONCE, timeout=LONG)
            consumer = self.consumer(connection)
            consumer.consume()
            while not self.stopped.is_set():
                try:
                    self.step(connection)
                except OperationalError:
                    self.come_back(connection, consumer)
            connection.collect()

    def consumer(self, connection: Connection) -> Consumer:
        return connection.Consumer([self.queue], callbacks=[self.receive], prefetch_count=PREFETCH)

    def step(self, connection: Connection) -> None:
        try:
            connection.drain_events(timeout=TICK)
        except TimeoutError:
            self.rest(connection.default_channel)

    def come_back(self, connection: Connection, consumer: Consumer) -> None:
        self.begin()
        connection.collect()
        while not self.stopped.is_set():
            with suppress(OperationalError):
                connection.ensure_connection(**AT_ONCE, timeout=LONG)
                consumer.revive(connection.default_channel)
                return


class Ensured(Plain):
    """By ``connection.ensure`` with the consumer."""

    def run(self) -> None:
        with self.connect() as connection:
            connection.ensure_connection(**AT_ONCE, timeout=LONG)
            consumer = self.consumer(connection)
            consumer.consume()
            step = connection.ensure(consumer, self.step, on_revive=lambda _: self.begin(), **AT_ONCE, timeout=LONG)
            while not self.stopped.is_set():
                step(connection)
            connection.collect()


class Async(Worker):
    """By ``kombu.aio``."""

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with aio.Connection(self.url, **self.settings) as connection:
            await connection.ensure_connection(policy=SOON, timeout=LONG)
            async with connection.Consumer(self.queue, reconnect=SOON, prefetch_count=PREFETCH) as consumer:
                while not self.stopped.is_set():
                    await self._step(connection, consumer)
            with suppress(KombuError):
                await connection.close()

    async def _step(self, connection: aio.Connection, consumer: aio.Consumer) -> None:
        try:
            message = await consumer.get(timeout=TICK)
        except TimeoutError:
            self.idle.set()
            return
        self.idle.clear()
        self.ledger.deliver(message)
        await asyncio.to_thread(self.handle, message)
        with suppress(KombuError):  # its connection was lost meanwhile: it is delivered again
            await message.ack()


WAYS: list[type[Worker]] = [Mixed, Plain, Ensured, Async]
PREFETCH = 10


class Publisher:
    """Publishes one message after the other until it is stopped, and again what may be published again."""

    numbers = count()

    def __init__(self, url: str, settings: Mapping[str, Any], queue: str, ledger: Ledger) -> None:
        self.url = url
        self.settings = settings
        self.queue = queue
        self.ledger = ledger
        self.stopped = threading.Event()

    def run(self) -> None:
        with Connection(self.url, **self.settings) as connection:
            producer = connection.Producer(routing_key=self.queue)
            while not self.stopped.is_set():
                self.publish(producer)
            connection.collect()

    def stop(self) -> None:
        self.stopped.set()

    def publish(self, producer: Any) -> None:
        body = f"{next(self.numbers)}"
        try:
            producer.publish(body, retry=True, retry_policy=AT_ONCE, timeout=LONG)
        except (PublishUncertain, TimeoutError, ConnectionError):
            self.ledger.uncertain.add(body)
        else:
            self.ledger.confirmed.add(body)
