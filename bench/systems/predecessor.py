"""Kombu 5.7 with its SQLAlchemy transport, or over py-amqp or redis-py, all defaults."""

from __future__ import annotations

from collections.abc import Sequence

from systems.client import Client
from systems.system import Body

from kombu import Connection


class Predecessor(Client):
    def make(self) -> None:
        self.open()
        self.close()

    def connect(self) -> Connection:
        if self.place.kind == "redis":
            return Connection(self.place.broker("redis"))
        if self.place.kind == "rabbitmq":
            return Connection(self.place.broker("pyamqp"))
        return Connection(f"sqla+{self.place.url()}")

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        """It has no batches."""
        self.publish(bodies)
