"""What RabbitMQ tells of queues, over both drivers: what declaring tells at once, the rest some seconds later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event
from uuid import uuid4

import pytest

from kombu import Connection, Message, Queue
from kombu.transport.base import QueueStatistics
from tests.background import LONG, Errors, eventually, running
from tests.rabbitmq import MANAGEMENT, url

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture(params=["amqp", "pika"])
def connection(request: pytest.FixtureRequest, host: str) -> Iterator[Connection]:
    with Connection(url(request.param, host, query=f"?management={MANAGEMENT}")) as made:
        yield made


@pytest.fixture
def queue(connection: Connection) -> Queue:
    """Declared, and empty."""
    made = Queue(uuid4().hex)(connection)
    made.declare()
    return made


def told(connection: Connection, queue: Queue) -> QueueStatistics:
    return connection.statistics([queue])[queue.name]


def test_what_a_consumer_of_a_busy_queue_holds_is_told(connection: Connection, queue: Queue, host: str) -> None:
    errors: Errors = []
    held: list[Message] = []
    enough = Event()

    def publish() -> None:
        with Connection(url(virtual_host=host)) as busy:
            while not enough.wait(0.01):
                busy.Producer().publish("one more", routing_key=queue.name)

    with Connection(url(virtual_host=host)) as other, running(publish, enough.set, errors, LONG):
        with other.Consumer(queue, on_message=held.append, prefetch_count=1):
            other.drain_events(timeout=LONG)
            eventually(lambda: told(connection, queue).leased == 1, errors, LONG)
            found = told(connection, queue)
            assert found.consumers == 1
            assert found.ready
            assert found.delayed is None
        held[0].ack()
    assert errors == []


def test_what_is_ready_is_told_at_once(connection: Connection, queue: Queue) -> None:
    for count in range(1, 4):
        connection.Producer().publish(count, routing_key=queue.name)
        assert told(connection, queue).ready == count
        assert told(connection, queue).consumers == 0
    assert told(connection, queue).oldest is None


def test_the_age_of_the_oldest_is_told_where_messages_say_when_they_were_published(
    connection: Connection, queue: Queue
) -> None:
    for age in (100, 50):
        connection.Producer().publish(age, routing_key=queue.name, timestamp=int(time.time()) - age)
    eventually(lambda: told(connection, queue).oldest is not None, [], LONG)
    oldest = told(connection, queue).oldest
    assert oldest is not None
    assert 100 <= oldest < 100 + 2 * LONG
    taken = queue.get()
    assert taken is not None
    eventually(lambda: told(connection, queue).leased == 1, [], LONG)
    assert told(connection, queue).oldest is None, "the broker does not say whether it means one that is held"
    taken.ack()


def test_nothing_is_guessed_of_a_queue_that_the_api_has_not_counted_yet(connection: Connection, queue: Queue) -> None:
    """Which takes it some seconds."""
    connection.Producer().publish(1, routing_key=queue.name)
    eventually(lambda: queue.name in connection.statistics(), [], LONG)
    assert connection.statistics()[queue.name].ready in (1, None)
    assert told(connection, queue).leased in (0, None)


def test_of_a_queue_that_is_another_connections_own_the_api_tells(connection: Connection, host: str) -> None:
    with Connection(url(virtual_host=host)) as other:
        mine = Queue(uuid4().hex, exclusive=True)(other)
        mine.declare()
        other.Producer().publish(1, routing_key=mine.name)
        eventually(lambda: told(connection, mine).ready == 1, [], LONG)
