"""aio-pika, with its defaults: publisher confirms, many publishes in flight for a batch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import aio_pika
from systems.system import Body, Handle, System

QUEUE = "bench"


class AioPika(System):
    def make(self) -> None:
        self.open()
        self.close()

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._open())

    def close(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        self.loop.run_until_complete(self._publish(bodies))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.loop.run_until_complete(self._publish_together(bodies))

    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        self.loop.run_until_complete(self._consume(handle, enough, prefetch))

    async def _open(self) -> None:
        self.connection = await aio_pika.connect(self.place.broker("amqp"))
        self.channel = await self.connection.channel()
        self.queue = await self.channel.declare_queue(QUEUE, durable=True)
        self.exchange = self.channel.default_exchange

    async def _publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            await self.exchange.publish(_message(body), QUEUE)

    async def _publish_together(self, bodies: Sequence[Body]) -> None:
        await asyncio.gather(*(self.exchange.publish(_message(body), QUEUE) for body in bodies))

    async def _consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        done = asyncio.Event()

        async def receive(message: Any) -> None:
            handle(json.loads(message.body))
            await message.ack()
            if enough():
                done.set()

        await self.channel.set_qos(prefetch)
        tag = await self.queue.consume(receive)
        await done.wait()
        await self.queue.cancel(tag)


def _message(body: Body) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps(body).encode(), content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
