"""What the tests of publishing sell and look at: an exchange, its queue of orders, and what arrived in one."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import Connection, Exchange, Message, Producer, Queue

shop = Exchange("shop", "topic")
orders = Queue("orders", shop, routing_key="order.*")
AT_ONCE = {"interval_start": 0, "interval_step": 0}
"""A retry policy that does not wait."""


@pytest.fixture
def open_shop(connection: Connection) -> None:
    """The exchange and its queue are declared."""
    orders(connection).declare()


@pytest.fixture
def producer(connection: Connection, open_shop: None) -> Producer:
    return connection.Producer(exchange=shop, routing_key="order.new")


def taken(connection: Connection, queue: str = "orders", **options: Any) -> list[Message]:
    """All that is ready in a queue."""
    bound = Queue(queue)(connection)
    return list(iter(lambda: bound.get(no_ack=True, **options), None))


def bodies(connection: Connection, queue: str = "orders") -> list[Any]:
    return [message.payload for message in taken(connection, queue)]
