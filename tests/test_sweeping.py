"""Messages expire where nobody consumes, too: any connection that is drained sees to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kombu import Connection, Message, Queue
from kombu.transport.memory import MemoryStore

BRIEF = 0.05


@pytest.fixture(params=["memory://sweeping", "django://default"])
def connection(request: pytest.FixtureRequest, tables: None) -> Iterator[Connection]:
    with Connection(request.param) as opened:
        yield opened
    MemoryStore.reset("sweeping")


def test_a_queue_whose_messages_expire_into_another_is_a_delay_without_a_consumer(connection: Connection) -> None:
    late = Queue("late")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "late"}
    early = Queue("early", message_ttl=BRIEF, queue_arguments=arguments)
    early.declare(channel=connection)
    seen: list[Message] = []
    with connection.Consumer(late, on_message=seen.append):
        connection.Producer(routing_key="early").publish("later")
        while not seen:
            connection.drain_events(timeout=10)
    assert seen[0].payload == "later"
    assert seen[0].headers["x-death"][0]["reason"] == "expired"
    assert late(connection).get() is None


def test_what_expires_without_a_dead_letter_exchange_is_gone(connection: Connection) -> None:
    short = Queue("short", message_ttl=BRIEF)
    short.declare(channel=connection)
    connection.Producer(routing_key="short").publish("gone")
    other = Queue("other")
    other.declare(channel=connection)
    connection.Producer(routing_key="other").publish("end", delay=2 * BRIEF)
    with connection.Consumer(other, on_message=lambda message: message.ack()):
        connection.drain_events(timeout=10)
    assert short(connection).get() is None
    assert short(connection).queue_declare(passive=True).message_count == 0
