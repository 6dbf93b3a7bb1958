"""pika's blocking connection alone: each message confirmed before the next, or none of a batch; each delivery
acknowledged by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pika
from systems.place import HOST
from systems.system import Body, Handle, System

QUEUE = "bench"
PROPERTIES = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}


class RawPika(System):
    def make(self) -> None:
        self.open()
        self.plain.queue_declare(QUEUE, durable=True)
        self.close()

    def open(self) -> None:
        self.connections = [self._connected(), self._connected()]
        self.confirmed, self.plain = (connection.channel() for connection in self.connections)
        self.confirmed.confirm_delivery()

    def close(self) -> None:
        for connection in self.connections:
            connection.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.confirmed.basic_publish("", QUEUE, json.dumps(body), pika.BasicProperties(**PROPERTIES))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        """No confirms; the answer to a question comes when the broker has read them all."""
        for body in bodies:
            self.plain.basic_publish("", QUEUE, json.dumps(body), pika.BasicProperties(**PROPERTIES))
        self.plain.queue_declare(QUEUE, passive=True)

    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        connection = self._connected()
        channel = connection.channel()

        def receive(_: Any, method: Any, __: Any, body: bytes) -> None:
            handle(json.loads(body))
            channel.basic_ack(method.delivery_tag)

        channel.basic_qos(prefetch_count=prefetch)
        channel.basic_consume(QUEUE, receive)
        while not enough():
            connection.process_data_events(time_limit=1)
        connection.close()

    def _connected(self) -> pika.BlockingConnection:
        place = self.place
        return pika.BlockingConnection(pika.ConnectionParameters(HOST, place.port, place.name))
