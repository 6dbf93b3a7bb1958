"""Threads that publish at once to one place publish in common batches; each hears of its own messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from kombu import Connection, Producer, Queue
from kombu.exceptions import MessageReturned, OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import together
from kombu.transport.virtual.store import Envelope
from tests.memory import PATIENCE, counts, transport_over

THREADS = 8


class Held(MemoryStore):
    """The first put waits for a signal, so that others line up behind it; ``failing`` puts fail after that one."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sizes: list[int] = []
        self.threads: list[int] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.failing: Exception | None = None
        self.entered_again = threading.Event()
        self.go_on_again = threading.Event()
        self.go_on_again.set()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        first = not self.entered.is_set()
        self.entered.set()
        if first:
            assert self.go_on.wait(PATIENCE)
        elif self.failing is not None:
            raise self.failing
        else:
            self.entered_again.set()
            assert self.go_on_again.wait(PATIENCE)
        self.sizes.append(len(items))
        self.threads.append(threading.get_ident())
        super().put(items, version)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes his own way because this machine is slow."""
    monkeypatch.setattr(together, "_PATIENCE", PATIENCE)


@pytest.fixture
def held(name: str) -> Held:
    return Held(name)


@pytest.fixture
def producer(held: Held, name: str) -> Iterator[Producer]:
    with Connection(f"memory://{name}") as connection:
        Queue("orders")(connection).declare()
    with Connection(transport=transport_over(lambda: held)) as connection:
        yield connection.Producer(routing_key="orders")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS + 1) as pool:
        yield pool


def line_up(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, publish: Callable[[int], None], threads: int = THREADS
) -> tuple[Future[None], list[Future[None]]]:
    """One thread is in the store, and the others wait behind it."""
    leader = pool.submit(producer.publish, "leader")
    assert held.entered.wait(PATIENCE)
    followers = [pool.submit(publish, number) for number in range(threads)]
    while len(in_line(producer)) < threads:
        assert not any(follower.done() for follower in followers)
    return leader, followers


def in_line(producer: Producer) -> Sized:
    waiting: Sized = producer.channel.connection.publisher._together._waiting  # type: ignore[attr-defined]
    return waiting


def test_those_who_line_up_behind_one_are_stored_in_one_batch(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    leader, followers = line_up(held, producer, pool, lambda number: producer.publish(number))
    held.go_on.set()
    for each in (leader, *followers):
        each.result(PATIENCE)
    assert held.sizes == [1, THREADS]
    assert counts(name).ready == THREADS + 1


class Placed(Held):
    """One of many that lead to the same place."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.place = name


def test_connections_to_one_place_are_in_one_line(pool: ThreadPoolExecutor, name: str) -> None:
    stores = [Placed(name), Placed(name)]
    with Connection(f"memory://{name}") as connection:
        Queue("orders")(connection).declare()
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(Connection(transport=transport_over(lambda store=store: store))).Producer(  # type: ignore[misc]
                routing_key="orders"
            )
            for store in stores
        )
        leader, followers = line_up(stores[0], one, pool, lambda number: (one, other)[number % 2].publish(number))
        assert in_line(one) is in_line(other)
        stores[1].entered.set()
        stores[0].go_on.set()
        for each in (leader, *followers):
            each.result(PATIENCE)
    assert sorted(stores[0].sizes + stores[1].sizes) == [1, THREADS]
    assert counts(name).ready == THREADS + 1


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_who_publishes_for_others_does_so_for_those_who_came_meanwhile_if_it_has_time(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, timeout: float | None
) -> None:
    held.go_on_again.clear()
    first, (second,) = line_up(
        held, producer, pool, lambda number: producer.publish(number, timeout=timeout), threads=1
    )
    held.go_on.set()
    assert held.entered_again.wait(PATIENCE)
    late = [pool.submit(producer.publish, number) for number in range(2)]
    while len(in_line(producer)) < len(late):
        assert not any(each.done() for each in late)
    held.go_on_again.set()
    for each in (first, second, *late):
        each.result(PATIENCE)
    assert held.sizes == [1, 1, 2]
    assert (held.threads[1] == held.threads[2]) is (timeout is None)


def test_who_has_waited_long_publishes_beside_the_others(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "_PATIENCE", 0.01)
    leader = pool.submit(producer.publish, "leader")
    assert held.entered.wait(PATIENCE)
    producer.publish("beside")
    producer.publish("beside, in time", timeout=PATIENCE)
    assert counts(name).ready == 2
    held.go_on.set()
    leader.result(PATIENCE)
    assert counts(name).ready == 3


def test_only_who_published_it_hears_of_a_refusal(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    def publish(number: int) -> None:
        producer.publish(number, routing_key="orders" if number % 2 else "nobody", mandatory=True)

    _, followers = line_up(held, producer, pool, publish)
    held.go_on.set()
    refusals = [type(each.exception(PATIENCE)) for each in followers]
    assert refusals == [MessageReturned, type(None)] * (THREADS // 2)
    assert counts(name).ready == 1 + THREADS // 2


def test_all_who_were_in_a_batch_that_failed_hear_of_it(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    held.failing = OperationalError("the disk is full")
    leader, followers = line_up(held, producer, pool, lambda number: producer.publish(number))
    held.go_on.set()
    leader.result(PATIENCE)
    errors = [each.exception(PATIENCE) for each in followers]
    assert [str(error) for error in errors] == ["the disk is full"] * THREADS
    assert len({id(error) for error in errors}) == THREADS
    assert counts(name).ready == 1


def test_an_error_of_the_program_in_one_turn_does_not_end_the_turns(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    held.failing = RuntimeError("a slip")
    leader, followers = line_up(held, producer, pool, lambda number: producer.publish(number))
    held.go_on.set()
    leader.result(PATIENCE)
    errors = sorted(type(each.exception(PATIENCE)).__name__ for each in followers)
    assert errors == ["OperationalError"] * (THREADS - 1) + ["RuntimeError"]
    held.failing = None
    publisher = producer.channel.connection.publisher  # type: ignore[attr-defined]
    assert not publisher._together._turn.locked()
    producer.publish("next")
    assert counts(name).ready == 2


def test_who_waits_behind_others_longer_than_its_timeout_has_published_nothing(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    leader = pool.submit(producer.publish, "leader")
    assert held.entered.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="other threads"):
        producer.publish("late", timeout=0.01)
    held.go_on.set()
    leader.result(PATIENCE)
    producer.publish("next")
    assert counts(name).ready == 2


def test_who_is_published_for_leaves_when_its_time_is_over_and_is_told_that_nobody_knows(
    held: Held, producer: Producer, pool: ThreadPoolExecutor, name: str
) -> None:
    held.go_on_again.clear()
    leader, (patient,) = line_up(held, producer, pool, producer.publish, threads=1)
    hasty = pool.submit(producer.publish, "hasty", timeout=1.0)
    while len(in_line(producer)) < 2:
        assert not hasty.done()
    held.go_on.set()
    assert held.entered_again.wait(PATIENCE)
    with pytest.raises(TimeoutError, match="may have been stored, or not"):
        hasty.result(PATIENCE)
    held.go_on_again.set()
    for each in (leader, patient):
        each.result(PATIENCE)
    assert counts(name).ready == 3


def test_many_threads_lose_and_double_nothing(name: str, pool: ThreadPoolExecutor) -> None:
    with Connection(f"memory://{name}") as connection:
        Queue("orders")(connection).declare()
        producer = connection.Producer(routing_key="orders")
        start = threading.Barrier(THREADS)

        def publish(thread: int) -> None:
            start.wait(PATIENCE)
            for number in range(200):
                producer.publish([thread, number])

        for each in [pool.submit(publish, thread) for thread in range(THREADS)]:
            each.result(PATIENCE)
        queue = Queue("orders")(connection)
        found = [message.payload for message in iter(lambda: queue.get(no_ack=True), None)]
        assert sorted(found) == [[thread, number] for thread in range(THREADS) for number in range(200)]
        for thread in range(THREADS):
            assert [number for who, number in found if who == thread] == list(range(200))
