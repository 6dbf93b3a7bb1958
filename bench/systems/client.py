"""The client API that this library and its predecessor have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from systems.system import Body, Handle, System

from kombu import Connection, Exchange, Queue

EXCHANGE = Exchange("bench", "direct")
QUEUE = Queue("bench", EXCHANGE, routing_key="bench")


class Client(System):
    @abstractmethod
    def connect(self) -> Connection: ...

    def open(self) -> None:
        self.connection = self.connect()
        QUEUE(self.connection.default_channel).declare()
        self.producer = self.connection.Producer(exchange=EXCHANGE, routing_key="bench")

    def close(self) -> None:
        self.connection.release()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.producer.publish(body)

    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        def receive(body: Body, message: Any) -> None:
            handle(body)
            message.ack()

        with self.connection.Consumer(QUEUE, callbacks=[receive], prefetch_count=prefetch or None):
            while not enough():
                try:
                    self.connection.drain_events(timeout=1)
                except TimeoutError:
                    continue
