"""Outcomes are written in batches and in time, and are owed until they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import NotSupported, OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import Done, Envelope, Lease, Move, Outcome
from tests.memory import Connect, counts, publish, take
from tests.watched import NEVER, SHORT, Watched, consume, publish_to, warnings


def test_acknowledgements_gather_and_are_written_before_the_next_claim(
    connect_watched: Connect, watched: Watched
) -> None:
    connection = connect_watched(settle_delay=NEVER)
    publish(connection, 1, 2, 3)
    consume(connection, Message.ack)
    for _ in range(3):
        connection.drain_events(timeout=0)
    assert watched.written == []
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert len(watched.written) == 3
    assert [call for call in watched.calls if call in ("claim", "settle")] == ["claim", "settle", "claim"]


@pytest.mark.parametrize("settle", [Message.ack, Message.reject, Message.requeue])
def test_without_a_settle_delay_every_outcome_is_written_at_once(
    settle: Callable[[Message], None], connect_watched: Connect, watched: Watched
) -> None:
    connection = connect_watched(settle_delay=0)
    publish(connection, 1, 2)
    for written in (1, 2):
        settle(take(connection))
        assert len(watched.written) == written


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
    assert (store.calls.count("settle"), store.calls.count("extend"), counts(name).total) == (3, 3, 0)


def test_an_outcome_that_could_not_be_written_is_written_later(
    connect_watched: Connect, watched: Watched, name: str
) -> None:
    connection = connect_watched(settle_delay=0.01, lease=SHORT)
    publish(connection, 1)
    watched.failing["settle"] = 1
    take(connection).ack()
    watched.wait_until(lambda: len(watched.written) == 1)
    assert counts(name).total == 0


def test_without_a_settle_delay_the_error_is_raised_and_the_outcome_still_owed(
    connect_watched: Connect, watched: Watched, name: str
) -> None:
    connection = connect_watched(settle_delay=0)
    publish(connection, 1)
    message = take(connection)
    watched.failing["settle"] = 1
    with pytest.raises(OperationalError, match="settle failed"):
        message.ack()
    assert counts(name).total == 1
    with suppress(TimeoutError):
        connection.drain_events(timeout=0)
    assert counts(name).total == 0


def test_closing_writes_what_is_owed(connect_watched: Connect, watched: Watched, name: str) -> None:
    connection = connect_watched(settle_delay=NEVER)
    publish(connection, 1, 2)
    take(connection).ack()
    take(connection).requeue()
    connection.close()
    assert watched.calls[-1] == "close"
    assert MemoryStore(name).counts(["orders"])["orders"].ready == 1
    assert counts(name).total == 1


def test_a_message_whose_new_place_is_gone_stays_in_its_queue(
    name: str, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(watched, NEVER, NEVER)
    publish_to(watched, 3)
    claimed = watched.claim({"orders": 3}, NEVER)
    ledger.hold(claimed)
    first, moving, last = (delivery.lease for delivery in claimed)
    for outcome in (Done(first), Move(moving, (("gone", Envelope(head="", body=b"")),)), Done(last)):
        ledger.settle(outcome)
    ledger.close()
    counts = watched.counts(["orders"])["orders"]
    assert (counts.total, counts.delayed) == (1, 1)
    assert [each.lease.id for each in watched.browse("orders", 3)] == [moving.id]
    assert [warning for warning in warnings(caplog) if "stays in 'orders'" in warning]
    assert not [warning for warning in warnings(caplog) if "lost" in warning]


def test_a_dead_letter_whose_place_is_gone_goes_where_the_exchange_leads_now(
    connect_watched: Connect, other: Connection
) -> None:
    channel = other.default_channel
    channel.exchange_declare("dlx", "fanout")
    for queue in ("old", "new"):
        channel.queue_declare(queue)
    channel.queue_declare("letters", arguments={"x-dead-letter-exchange": "dlx"})
    channel.queue_bind("old", "dlx")
    connection = connect_watched(lease=0.05, settle_delay=0)
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


def test_acknowledging_within_a_transaction_is_refused_where_there_are_none(
    connect_watched: Connect, name: str
) -> None:
    connection = connect_watched()
    publish(connection, 1)
    message = take(connection)
    with pytest.raises(NotSupported, match="'memory'"):
        message.ack(within=object())
    assert not message.acknowledged
    message.ack()
    connection.close()
    assert counts(name).total == 0
