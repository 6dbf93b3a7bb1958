"""py-amqp alone: each message confirmed before the next, or none of a batch; each delivery acknowledged by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import amqp
from systems.place import HOST
from systems.system import Body, Handle, System

QUEUE = "bench"


class RawRabbitMQ(System):
    def make(self) -> None:
        self.open()
        self.plain.queue_declare(QUEUE, durable=True, auto_delete=False)
        self.close()

    def open(self) -> None:
        self.connections = [self._connected(confirm_publish=True), self._connected()]
        self.confirmed, self.plain = (connection.channel() for connection in self.connections)

    def close(self) -> None:
        for connection in self.connections:
            connection.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.confirmed.basic_publish(_message(body), routing_key=QUEUE)

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        """No confirms; the answer to a question comes when the broker has read them all."""
        for body in bodies:
            self.plain.basic_publish(_message(body), routing_key=QUEUE)
        self.plain.queue_declare(QUEUE, passive=True)

    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        connection = self._connected()
        channel = connection.channel()

        def receive(message: Any) -> None:
            handle(json.loads(message.body))
            channel.basic_ack(message.delivery_tag)

        channel.basic_qos(0, prefetch, False)
        channel.basic_consume(QUEUE, callback=receive)
        while not enough():
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                continue
        connection.close()

    def _connected(self, **options: Any) -> amqp.Connection:
        place = self.place
        connection = amqp.Connection(f"{HOST}:{place.port}", virtual_host=place.name, **options)
        connection.connect()
        return connection


def _message(body: Body) -> amqp.Message:
    return amqp.Message(json.dumps(body), content_type="application/json", content_encoding="utf-8", delivery_mode=2)
