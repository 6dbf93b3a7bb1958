"""This library on the servers that are no databases of SQL: on RabbitMQ by each of its drivers."""

from __future__ import annotations

from collections.abc import Sequence

from systems.client import Client
from systems.place import Place
from systems.system import Body

from kombu import Connection


class Native(Client):
    def __init__(self, place: Place, scheme: str) -> None:
        super().__init__(place)
        self.scheme = scheme

    def make(self) -> None:
        self.open()
        self.close()

    def connect(self) -> Connection:
        return Connection(self.place.broker(self.scheme))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.producer.publish_many(bodies)
