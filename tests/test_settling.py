"""Outcomes are written in batches and in time, leases are renewed as long as they are needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import NotSupported, OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Transport
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import Delivery, Done, Envelope, Lease, Move, Outcome, QueueSpec

PATIENCE = 10.0
"""Seconds that a signal may take before it counts as failed."""
NEVER = 3600.0
ALWAYS = float("inf")
SHORT = 0.4
"""Seconds that a lease lasts where it is to end, or to be renewed, before our eyes."""
RENEWALS = 4
"""At a third of a lease each, these take longer than a lease."""

orders = Queue("orders")


class Watched(MemoryStore):
    """Tells what is asked of it, in order, and can be made to fail."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[str] = []
        self.written: list[Outcome] = []
        self.extended: list[int] = []
        self.failing: dict[str, float] = {}
        self._called = threading.Condition()

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        self._note("claim")
        return super().claim(wants, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        self._note("settle")
        answers = super().settle(outcomes)
        with self._called:
            self.written += outcomes
            self._called.notify_all()
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        self._note("extend")
        self.extended.append(len(leases))
        return super().extend(leases, seconds)

    def close(self) -> None:
        self._note("close")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when what was called or written makes the condition true."""
        with self._called:
            assert self._called.wait_for(condition, PATIENCE), f"after {PATIENCE} s only {self.calls}"

    def wait_for_more(self, call: str, times: int) -> None:
        wanted = self.calls.count(call) + times
        self.wait_until(lambda: self.calls.count(call) >= wanted)

    def _note(self, call: str) -> None:
        with self._called:
            self.calls.append(call)
            self._called.notify_all()
        if self.failing.get(call, 0) > 0:
            self.failing[call] -= 1
            raise OperationalError(f"{call} failed")


@pytest.fixture
def name() -> Iterator[str]:
    name = uuid4().hex
    MemoryStore(name).declare(QueueSpec(name="orders"))
    yield name
    MemoryStore.reset(name)


@pytest.fixture
def store(name: str) -> Watched:
    return Watched(name)


Connect = Callable[..., Connection]


@pytest.fixture
def connect(store: Watched, name: str) -> Iterator[Connect]:
    """Each call opens a connection to the watched store."""

    class OverWatched(Transport):
        def make_store(self) -> Watched:
            return store

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            Connection("memory://", transport=OverWatched, transport_options=options)
        )


@pytest.fixture
def other(name: str) -> Iterator[Connection]:
    """Another process, as far as the queues can tell."""
    with Connection(f"memory://{name}") as connection:
        yield connection


def publish(connection: Connection, *bodies: object) -> None:
    connection.Producer().publish_many(bodies, routing_key="orders")


def publish_to(store: MemoryStore, count: int) -> None:
    store.put([("orders", Envelope(head="", body=b"")) for _ in range(count)])


def get(connection: Connection) -> Message | None:
    return orders(connection).get()


def take(connection: Connection) -> Message:
    message = get(connection)
    assert message is not None
    return message


def consume(connection: Connection, handle: Callable[[Message], object]) -> None:
    orders(connection).consume(callback=handle)


def total(name: str) -> int:
    return MemoryStore(name).counts(["orders"])["orders"].total


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kombu-keeper"}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_acknowledgements_gather_and_are_written_before_the_next_claim(connect: Connect, store: Watched) -> None:
    connection = connect(settle_delay=NEVER)
    publish(connection, 1, 2, 3)
    consume(connection, Message.ack)
    for _ in range(3):
        connection.drain_events(timeout=0)
    assert store.written == []
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert len(store.written) == 3
    assert [call for call in store.calls if call in ("claim", "settle")] == ["claim", "settle", "claim"]


def test_an_acknowledgement_is_written_while_a_handler_is_busy(connect: Connect, store: Watched, name: str) -> None:
    def handle(message: Message) -> None:
        message.ack()
        store.wait_until(lambda: len(store.written) == 1)

    connection = connect(settle_delay=0.01)
    publish(connection, 1)
    consume(connection, handle)
    connection.drain_events(timeout=PATIENCE)
    assert total(name) == 0


def test_the_keeper_writes_the_next_acknowledgement_too(connect: Connect, store: Watched) -> None:
    """However deep it sleeps: nothing else, no claim and no renewal, comes to wake it."""
    connection = connect(settle_delay=0.001)
    publish(connection, *range(20))
    held = [take(connection) for _ in range(20)]
    for written, message in enumerate(held, start=1):
        message.ack()
        store.wait_until(lambda written=written: len(store.written) == written)  # type: ignore[misc]


@pytest.mark.parametrize("settle", [Message.ack, Message.reject, Message.requeue])
def test_without_a_settle_delay_every_outcome_is_written_at_once(
    settle: Callable[[Message], None], connect: Connect, store: Watched
) -> None:
    connection = connect(settle_delay=0)
    publish(connection, 1, 2)
    for written in (1, 2):
        settle(take(connection))
        assert len(store.written) == written


def test_no_more_than_the_store_takes_is_written_at_once(name: str) -> None:
    class Small(Watched):
        capabilities = type(MemoryStore.capabilities)(name="small", max_batch=2)

        def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
            assert len(outcomes) <= 2
            return super().settle(outcomes)

        def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
            assert len(leases) <= 2
            return super().extend(leases, seconds)

    store = Small(name)
    ledger = Ledger(store, NEVER, NEVER)
    publish_to(store, 5)
    claimed = store.claim({"orders": 5}, NEVER)
    ledger.hold(claimed)
    ledger.renew()
    for delivery in claimed:
        ledger.settle(Done(delivery.lease))
    ledger.close()
    assert len(store.written) == 5
    assert (store.calls.count("settle"), store.calls.count("extend"), total(name)) == (3, 3, 0)


def test_a_lease_is_renewed_as_long_as_its_handler_runs(
    connect: Connect, other: Connection, store: Watched, name: str
) -> None:
    def handle(message: Message) -> None:
        store.wait_for_more("extend", RENEWALS)
        assert get(other) is None
        message.ack()
        handled.append(message)

    handled: list[Message] = []
    connection = connect(lease=SHORT)
    publish(connection, 1)
    consume(connection, handle)
    connection.drain_events(timeout=PATIENCE)
    connection.close()
    assert len(handled) == 1
    assert total(name) == 0


def test_what_waits_for_a_busy_consumer_is_renewed_as_well(connect: Connect, other: Connection, store: Watched) -> None:
    def handle(message: Message) -> None:
        seen.append((message.payload, message.delivery_info["delivery_count"]))
        if len(seen) == 1:
            store.wait_for_more("extend", RENEWALS)
            assert get(other) is None

    seen: list[tuple[Any, int]] = []
    connection = connect(lease=SHORT)
    publish(connection, 1, 2, 3)
    consume(connection, handle)
    for _ in range(3):
        connection.drain_events(timeout=PATIENCE)
    assert seen == [(1, 1), (2, 1), (3, 1)]


def test_a_store_that_does_not_extend_once_is_asked_again(connect: Connect, other: Connection, store: Watched) -> None:
    connection = connect(lease=SHORT)
    publish(connection, 1)
    message = take(connection)
    store.failing["extend"] = 1
    store.wait_for_more("extend", RENEWALS)
    assert get(other) is None
    message.ack()


def test_a_settled_message_is_renewed_no_more(connect: Connect, store: Watched) -> None:
    connection = connect(settle_delay=0)
    publish(connection, "settled", "held")
    take(connection).ack()
    held = take(connection)
    ledger = connection.connection.ledger  # type: ignore[attr-defined]
    store.extended.clear()
    ledger.renew()
    held.ack()
    ledger.renew()
    assert store.extended == [1]


def lose(connection: Connection, other: Connection, store: Watched) -> tuple[Message, Message]:
    """A message whose lease the first connection could not renew, and the second's delivery of it."""
    publish(other, 1)
    store.failing["extend"] = ALWAYS
    lost = take(connection)
    stolen: list[Message] = []
    consume(other, stolen.append)
    other.drain_events(timeout=PATIENCE)
    return lost, stolen[0]


def test_a_message_that_was_lost_to_another_cannot_be_settled(
    connect: Connect, other: Connection, store: Watched, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(lease=SHORT)
    lost, stolen = lose(connection, other, store)
    assert stolen.delivery_info["delivery_count"] == 2
    lost.ack()
    connection.close()
    assert total(name) == 1
    assert any("lost" in warning and "orders" in warning for warning in warnings(caplog))
    stolen.ack()
    other.close()
    assert total(name) == 0


def test_a_lost_lease_is_noticed_when_it_is_to_be_renewed(
    connect: Connect, other: Connection, store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(lease=SHORT)
    lose(connection, other, store)
    store.failing["extend"] = 0
    ledger = connection.connection.ledger  # type: ignore[attr-defined]
    ledger.renew()
    assert not ledger.holding
    assert any("lease lost" in warning for warning in warnings(caplog))


def test_a_message_that_was_lost_while_it_waited_is_not_handed_out(
    connect: Connect, other: Connection, store: Watched
) -> None:
    connection = connect(lease=SHORT)
    seen: list[Message] = []
    publish(other, "first", "second")
    store.failing["extend"] = ALWAYS
    consume(connection, seen.append)
    connection.drain_events(timeout=PATIENCE)
    stolen: list[Message] = []
    consume(other, stolen.append)
    for _ in range(2):
        other.drain_events(timeout=PATIENCE)
    store.failing["extend"] = 0
    connection.connection.ledger.renew()  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert [message.payload for message in seen] == ["first"]
    assert [message.payload for message in stolen] == ["first", "second"]


def test_an_outcome_that_could_not_be_written_is_written_later(connect: Connect, store: Watched, name: str) -> None:
    connection = connect(settle_delay=0.01, lease=SHORT)
    publish(connection, 1)
    store.failing["settle"] = 1
    take(connection).ack()
    store.wait_until(lambda: len(store.written) == 1)
    assert total(name) == 0


def test_without_a_settle_delay_the_error_is_raised_and_the_outcome_still_owed(
    connect: Connect, store: Watched, name: str
) -> None:
    connection = connect(settle_delay=0)
    publish(connection, 1)
    message = take(connection)
    store.failing["settle"] = 1
    with pytest.raises(OperationalError, match="settle failed"):
        message.ack()
    assert total(name) == 1
    with suppress(TimeoutError):
        connection.drain_events(timeout=0)
    assert total(name) == 0


def test_closing_writes_what_is_owed(connect: Connect, store: Watched, name: str) -> None:
    connection = connect(settle_delay=NEVER)
    publish(connection, 1, 2)
    take(connection).ack()
    take(connection).requeue()
    connection.close()
    assert store.calls[-1] == "close"
    assert MemoryStore(name).counts(["orders"])["orders"].ready == 1
    assert total(name) == 1


def test_the_keeper_ends_with_its_connection(connect: Connect) -> None:
    before = keepers()
    connection = connect()
    publish(connection, 1)
    take(connection)
    assert len(keepers() - before) == 1
    connection.close()
    assert keepers() <= before


@pytest.mark.parametrize("call", ["settle", "close"])
def test_the_keeper_ends_although_closing_fails(call: str, connect: Connect, store: Watched) -> None:
    before = keepers()
    connection = connect(settle_delay=NEVER)
    publish(connection, 1)
    take(connection).ack()
    store.failing[call] = ALWAYS
    with pytest.raises(OperationalError, match=f"{call} failed"):
        connection.close()
    assert keepers() <= before
    assert "close" in store.calls


def test_what_is_being_written_by_the_keeper_is_written_when_flush_returns(name: str) -> None:
    class Slow(Watched):
        def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
            entered.set()
            assert gate.wait(PATIENCE)
            return super().settle(outcomes)

    entered, gate = threading.Event(), threading.Event()
    store = Slow(name)
    publish_to(store, 1)
    ledger = Ledger(store, NEVER, 0.01)
    ledger.settle(Done(store.claim({"orders": 1}, NEVER)[0].lease))
    assert entered.wait(PATIENCE)
    flushing = threading.Thread(target=ledger.flush)
    flushing.start()
    flushing.join(0.05)
    returned_too_early = not flushing.is_alive()
    gate.set()
    flushing.join()
    ledger.close()
    assert not returned_too_early


def test_a_message_whose_new_place_is_gone_stays_in_its_queue(
    name: str, store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(store, NEVER, NEVER)
    publish_to(store, 3)
    claimed = store.claim({"orders": 3}, NEVER)
    ledger.hold(claimed)
    first, moving, last = (delivery.lease for delivery in claimed)
    for outcome in (Done(first), Move(moving, (("gone", Envelope(head="", body=b"")),)), Done(last)):
        ledger.settle(outcome)
    ledger.close()
    counts = store.counts(["orders"])["orders"]
    assert (counts.total, counts.delayed) == (1, 1)
    assert [each.lease.id for each in store.browse("orders", 3)] == [moving.id]
    assert [warning for warning in warnings(caplog) if "gone" in warning and "'orders'" in warning]
    assert not [warning for warning in warnings(caplog) if "lost" in warning]


def test_a_dead_letter_whose_place_is_gone_goes_where_the_exchange_leads_now(
    connect: Connect, other: Connection
) -> None:
    channel = other.default_channel
    channel.exchange_declare("dlx", "fanout")
    for queue in ("old", "new"):
        channel.queue_declare(queue)
    channel.queue_declare("letters", arguments={"x-dead-letter-exchange": "dlx"})
    channel.queue_bind("old", "dlx")
    connection = connect(lease=0.05, settle_delay=0)
    other.Producer().publish("bad", routing_key="letters")
    Queue("letters")(connection).consume(callback=Message.reject)
    channel.queue_delete("old")
    channel.queue_bind("new", "dlx")
    deadline = time.monotonic() + 2
    while (letter := Queue("new")(other).get()) is None and time.monotonic() < deadline:
        with suppress(TimeoutError):
            connection.drain_events(timeout=0.1)
    assert letter is not None
    assert letter.headers["x-death"][0]["queue"] == "letters"


def test_acknowledging_within_a_transaction_is_refused_where_there_are_none(connect: Connect, name: str) -> None:
    connection = connect()
    publish(connection, 1)
    message = take(connection)
    with pytest.raises(NotSupported, match="'memory'"):
        message.ack(within=object())
    assert not message.acknowledged
    message.ack()
    connection.close()
    assert total(name) == 0
