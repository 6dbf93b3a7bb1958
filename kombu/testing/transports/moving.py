"""Promises about moving: what waits goes from one transport to any other, and stays what it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.moving import move
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.features import Feature, promises
from kombu.transport.memory import MemoryStore

HEADERS = {"colour": "größe", "number": 42}


class MovingConformance(TransportCase):
    """``kombu.moving.move``, with the transport in memory on the other side."""

    @promises(Feature.MOVING)
    def test_what_waits_is_moved_to_another_transport_and_gone_from_here(self) -> None:
        orders = self.queue()
        for number in range(12):
            self.publish(number, to=orders, headers=HEADERS, message_id=f"id {number}")
        with elsewhere(orders) as there:
            assert move(self.connection, orders, there, batch=5).count == 12
            self.check_moved(there, orders)
        assert self.is_empty(orders)

    @promises(Feature.MOVING)
    def test_what_waits_is_moved_here_from_another_transport(self) -> None:
        orders = self.queue()
        with elsewhere(orders) as there:
            producer = there.Producer(routing_key=orders.name)
            for number in range(12):
                producer.publish(number, headers=HEADERS, message_id=f"id {number}")
            assert move(there, orders, self.connection, batch=5).count == 12
            assert there.statistics([orders])[orders.name].ready == 0
        self.check_moved(self.other, orders)

    def check_moved(self, connection: Connection, queue: Queue) -> None:
        messages = self.receive(queue, 12, connection)
        assert sorted(message.payload for message in messages) == list(range(12))
        for message in messages:
            assert message.properties["message_id"] == f"id {message.payload}"
            assert message.headers == HEADERS
            message.ack()


@contextmanager
def elsewhere(queue: Queue) -> Iterator[Connection]:
    """Another place, with a queue of this name."""
    name = uuid4().hex
    try:
        with Connection(f"memory://{name}") as connection:
            Queue(queue.name)(connection).declare()
            yield connection
    finally:
        MemoryStore.reset(name)
