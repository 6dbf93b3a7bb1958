"""A short poll asks some of AWS's servers, and may be empty though the queue is not: nothing ends by that alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("boto3")

from kombu import Connection, Queue
from kombu.moving import move
from kombu.testing import bodies, in_threads, message
from kombu.transport.base import GivesBatches
from kombu.transport.memory import MemoryStore
from kombu.transport.sqs.calls import Answer, Calls
from kombu.transport.sqs.limits import Limits
from kombu.transport.sqs.receiving import thorough
from kombu.transport.virtual.store import QueueSpec
from tests.aws import Region

pytestmark = pytest.mark.server("sqs")

QUEUE = "orders"


@pytest.fixture
def connection(region: Region) -> Iterator[Connection]:
    with Connection(region.url()) as connection:
        yield connection


@pytest.fixture
def orders(connection: Connection) -> Queue:
    """Twelve messages wait in it."""
    orders = Queue(QUEUE)(connection)
    orders.declare()
    connection.Producer().publish_many(list(range(12)), routing_key=QUEUE)
    return orders


@pytest.fixture(params=[(True,), (True, False), (False, True, True)], ids=["all", "every second", "two of three"])
def empty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Which short polls are answered with nothing, in turns; the emulator's never are. What they were so far."""
    receive: Callable[..., Answer] = Calls.receive
    turns, seen = cycle(request.param), list[bool]()

    def answer(calls: Calls, **parameters: Any) -> Answer:
        seen.append(next(turns))
        return {} if seen[-1] else receive(calls, **parameters)

    monkeypatch.setattr(Calls, "receive", answer)
    yield seen
    assert any(seen), "no short poll was empty"


def test_get_finds_the_message(orders: Queue, empty: list[bool]) -> None:
    found = []
    for _ in range(12):
        got = orders.get(no_ack=True)
        assert got is not None
        found.append(got.payload)
    assert sorted(found) == list(range(12))
    assert orders.get() is None


def test_purge_empties_the_queue(connection: Connection, orders: Queue, empty: list[bool]) -> None:
    assert orders.purge() == 12
    assert connection.statistics([QUEUE])[QUEUE].ready == 0


def test_all_is_moved(connection: Connection, orders: Queue, empty: list[bool]) -> None:
    name = uuid4().hex
    try:
        with Connection(f"memory://{name}") as there:
            Queue(QUEUE)(there).declare()
            moved = move(connection, QUEUE, there, batch=5)
            assert (moved.count, moved.left.ready) == (12, 0)
            assert there.statistics([QUEUE])[QUEUE].ready == 12
    finally:
        MemoryStore.reset(name)


def test_a_purge_ends_though_others_go_on_publishing(connection: Connection, region: Region, orders: Queue) -> None:
    ended = threading.Event()

    def publish() -> None:
        with Connection(region.url()) as other:
            producer = other.Producer(routing_key=QUEUE)
            while not ended.is_set():
                producer.publish_many(list(range(20)))

    def purge() -> int:
        try:
            return orders.purge()
        finally:
            ended.set()

    assert in_threads([publish, purge], patience=30)[1] >= 12


def test_a_queue_that_a_consumer_of_the_connection_polls_is_asked_for_it_nevertheless(
    connection: Connection, orders: Queue
) -> None:
    orders.purge()
    with connection.Consumer(orders, on_message=print), pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.1)
    with Connection(connection.as_uri(include_password=True)) as other:
        other.Producer().publish("late", routing_key=QUEUE)
    got = orders.get()
    assert got is not None
    assert got.payload == "late"


def test_a_message_that_is_not_due_yet_hides_none_that_is(region: Region) -> None:
    """AWS delays for less than was asked for: the message comes too early, and waits on."""
    store = region.store(Limits(delay=1, visibility=63))
    try:
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, message("later", delay=60))])
        while store.counts([QUEUE])[QUEUE].delayed:
            store.wait([QUEUE], 0.05)
        store.put([(QUEUE, message("now"))])
        with thorough():
            assert bodies(store.claim({QUEUE: 1}, 60.0)) == ["now"]
            assert store.claim({QUEUE: 1}, 60.0) == []
    finally:
        store.close()


def test_only_an_empty_queue_takes_a_second_request(connection: Connection, orders: Queue) -> None:
    before = receives(connection)
    assert orders.get(no_ack=True) is not None
    assert receives(connection) - before == 1
    channel = connection.default_channel
    assert isinstance(channel, GivesBatches)
    assert len(channel.get_batch(QUEUE, 100, no_ack=True)) == 11
    assert receives(connection) - before == 3, "ten at a time, and what is there is enough"
    before = receives(connection)
    assert orders.get() is None
    assert receives(connection) - before == 2


def test_an_idle_consumer_asks_as_seldom_as_ever(region: Region) -> None:
    """One look, and polls of 1 and 2 seconds."""
    with Connection(region.url(wait_time_seconds=20)) as connection:
        orders = Queue(QUEUE)(connection)
        orders.declare()
        before = receives(connection)
        with connection.Consumer(orders, on_message=print), pytest.raises(TimeoutError):
            connection.drain_events(timeout=2.5)
        assert receives(connection) - before <= 3


def receives(connection: Connection) -> int:
    return (connection.billed_requests() or {}).get("ReceiveMessage", 0)
