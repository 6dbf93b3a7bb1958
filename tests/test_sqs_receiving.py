"""Long polls: few requests while nothing happens, every queue in its turn, and what is brought is not left lying."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("boto3")

from kombu.testing import bodies, in_threads, message
from kombu.transport.sqs import SQSStore
from kombu.transport.sqs.receiving import poll_seconds
from kombu.transport.virtual.store import Done, QueueSpec
from tests.aws import Region

LEASE = 60.0


def test_polls_get_longer_while_a_queue_is_silent() -> None:
    assert [poll_seconds(silent, 1, 10, 20) for silent in range(7)] == [1, 2, 4, 8, 16, 20, 20]
    assert poll_seconds(1_000_000, 1, 10, 20) == 20


@pytest.mark.parametrize("queues", [1, 10, 11, 40, 100, 200, 1000])
def test_many_queues_share_the_polls_in_short_turns(queues: int) -> None:
    seconds = poll_seconds(9, queues, 10, 20)
    assert 1 <= seconds <= 20
    assert seconds == 1 or queues / 10 * seconds <= 20, "each has its turn within the longest poll"


@pytest.fixture
def open_store(region: Region) -> Iterator[Callable[..., SQSStore]]:
    stores: list[SQSStore] = []

    def make(**options: object) -> SQSStore:
        stores.append(region.store(**options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def receives(store: SQSStore) -> int:
    return store.billed_requests().get("ReceiveMessage", 0)


def consume(store: SQSStore, queues: list[str], seconds: float) -> list[str]:
    """As a drain does: claim and wait in turns."""
    found: list[str] = []
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        deliveries = store.claim(dict.fromkeys(queues, 10), LEASE)
        store.settle([Done(each.lease) for each in deliveries])
        found += bodies(deliveries)
        store.wait(queues, min(left, 0.3))
    return found


@pytest.mark.server("sqs")
def test_an_idle_consumer_asks_seldom(open_store: Callable[..., SQSStore]) -> None:
    """One look, and polls of 1 and 2 seconds: not a request each time that the drain comes round."""
    store = open_store(wait_time_seconds=20)
    store.declare(QueueSpec(name="quiet"))
    before = receives(store)
    consume(store, ["quiet"], 2.5)
    assert receives(store) - before <= 3


@pytest.mark.server("sqs")
def test_queues_beyond_the_number_of_polls_have_their_turn(open_store: Callable[..., SQSStore]) -> None:
    store = open_store(max_polls=2, wait_time_seconds=1)
    queues = [f"q{n}" for n in range(6)]
    for queue in queues:
        store.declare(QueueSpec(name=queue))
    putter, polled = open_store(), threading.Event()

    def put() -> None:
        assert polled.wait(20)
        putter.put([(queue, message(queue)) for queue in queues])

    def take() -> list[str]:
        found = consume(store, queues, 0.3)
        polled.set()
        deadline = time.monotonic() + 20
        while len(found) < len(queues) and time.monotonic() < deadline:
            found += consume(store, queues, 0.3)
        return found

    answers: list[object] = in_threads([put, take], patience=30)
    assert sorted(map(str, answers[1] if isinstance(answers[1], list) else [])) == queues


@pytest.mark.server("sqs")
def test_a_busy_queue_is_not_waited_for(open_store: Callable[..., SQSStore]) -> None:
    store = open_store()
    for queue in ("quiet", "busy"):
        store.declare(QueueSpec(name=queue))
    assert store.claim({"quiet": 10, "busy": 10}, LEASE) == []
    store.wait(["quiet", "busy"], 0.1)
    open_store().put([("busy", message(str(n))) for n in range(30)])
    found: list[str] = []
    while len(found) < 30:
        found += consume(store, ["quiet", "busy"], 0.2)
    assert sorted(map(int, found)) == list(range(30))


@pytest.mark.server("sqs")
def test_what_a_poll_brings_too_late_is_given_back(open_store: Callable[..., SQSStore]) -> None:
    """Nobody waits any more: another consumer gets it long before the lease is over."""
    store, other = open_store(wait_time_seconds=5), open_store()
    store.declare(QueueSpec(name="orders"))
    assert store.claim({"orders": 10}, LEASE) == []
    store.wait(["orders"], 0.1)
    other.put([("orders", message("a"))])
    deadline, found = time.monotonic() + 20, list[str]()
    while not found and time.monotonic() < deadline:
        found = consume(other, ["orders"], 0.2)
    assert found == ["a"]


@pytest.mark.server("sqs")
def test_closing_does_not_wait_for_polls_and_they_give_back_what_they_bring(
    open_store: Callable[..., SQSStore], region: Region
) -> None:
    store, other = region.store(wait_time_seconds=20), open_store()
    store.declare(QueueSpec(name="orders"))
    assert store.claim({"orders": 10}, LEASE) == []
    store.wait(["orders"], 0.1)
    store.close()
    other.put([("orders", message("a"))])
    deadline, found = time.monotonic() + 20, list[str]()
    while not found and time.monotonic() < deadline:
        found = consume(other, ["orders"], 0.2)
    assert found == ["a"]


@pytest.mark.server("sqs")
def test_wake_ends_a_wait(open_store: Callable[..., SQSStore]) -> None:
    store = open_store()
    store.declare(QueueSpec(name="orders"))
    store.claim({"orders": 1}, LEASE)
    in_threads([lambda: store.wait(["orders"], 600), store.wake], patience=20)
