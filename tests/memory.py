"""What most tests do with a broker in memory: open connections to one set of queues, publish, take, count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Message, Queue
from kombu.transport.base import Channel
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Transport
from kombu.transport.virtual.store import Counts

Connect = Callable[..., Connection]

PATIENCE = 10.0
"""Seconds that a drain or a signal may take before it counts as failed."""


@pytest.fixture
def name() -> Iterator[str]:
    """Of queues that are this test's own: ``memory://name``."""
    name = uuid4().hex
    yield name
    MemoryStore.reset(name)


@pytest.fixture
def store(name: str) -> MemoryStore:
    return MemoryStore(name)


@pytest.fixture
def connect(name: str) -> Iterator[Connect]:
    """Each call opens another connection to the same queues."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Connection(f"memory://{name}", **options))


@pytest.fixture
def connection(connect: Connect) -> Connection:
    return connect()


@pytest.fixture
def channel(connection: Connection) -> Channel:
    return connection.channel()


@pytest.fixture
def orders_queue(connection: Connection) -> None:
    """There is a queue ``orders``; every connection knows it."""
    Queue("orders")(connection).declare()


def transport_over(make_store: Callable[[], MemoryStore]) -> type[Transport]:
    """For tests that bring a store of their own: asked for it once a connection."""

    class Over(Transport):
        def make_store(self) -> MemoryStore:
            return make_store()

    return Over


def publish(connection: Connection, *bodies: object, queue: str = "orders", **options: Any) -> None:
    connection.Producer().publish_many(bodies, routing_key=queue, **options)


def take(connection: Connection, queue: str = "orders") -> Message:
    """The next message, to be settled; there has to be one."""
    message = Queue(queue)(connection).get()
    assert message is not None
    return message


def drain(connection: Connection, times: int) -> None:
    for _ in range(times):
        connection.drain_events(timeout=PATIENCE)


def nothing_comes(connection: Connection) -> None:
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)


def counts(name: str, queue: str = "orders") -> Counts:
    return MemoryStore(name).counts([queue])[queue]


def declared(store: MemoryStore) -> tuple[list[str], list[str]]:
    """The exchanges, but for the broker's own, and the queues."""
    topology = store.topology()
    return [name for name in topology.exchanges if not name.startswith("amq.")], list(topology.queues)
