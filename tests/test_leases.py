"""Leases are renewed as long as they are needed; what was lost to another is neither settled nor handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kombu import Connection, Message, Queue
from kombu.transport.virtual.store import Outcome
from tests.memory import PATIENCE, Connect, counts, publish, take
from tests.watched import ALWAYS, SHORT, Watched, consume, warnings

RENEWALS = 4
"""At a third of a lease each, these take longer than a lease."""

orders = Queue("orders")


def test_a_lease_is_renewed_as_long_as_its_handler_runs(
    connect_watched: Connect, other: Connection, watched: Watched, name: str
) -> None:
    def handle(message: Message) -> None:
        watched.wait_for_more("extend", RENEWALS)
        assert orders(other).get() is None
        message.ack()
        handled.append(message)

    handled: list[Message] = []
    connection = connect_watched(lease=SHORT)
    publish(connection, 1)
    consume(connection, handle)
    connection.drain_events(timeout=PATIENCE)
    connection.close()
    assert len(handled) == 1
    assert counts(name).total == 0


def test_what_waits_for_a_busy_consumer_is_renewed_as_well(
    connect_watched: Connect, other: Connection, watched: Watched
) -> None:
    def handle(message: Message) -> None:
        seen.append((message.payload, message.delivery_info["delivery_count"]))
        if len(seen) == 1:
            watched.wait_for_more("extend", RENEWALS)
            assert orders(other).get() is None

    seen: list[tuple[Any, int]] = []
    connection = connect_watched(lease=SHORT)
    publish(connection, 1, 2, 3)
    consume(connection, handle)
    for _ in range(3):
        connection.drain_events(timeout=PATIENCE)
    assert seen == [(1, 1), (2, 1), (3, 1)]


def test_a_store_that_does_not_extend_once_is_asked_again(
    connect_watched: Connect, other: Connection, watched: Watched
) -> None:
    connection = connect_watched(lease=SHORT)
    publish(connection, 1)
    message = take(connection)
    watched.failing["extend"] = 1
    watched.wait_for_more("extend", RENEWALS)
    assert orders(other).get() is None
    message.ack()


def test_a_settled_message_is_renewed_no_more(connect_watched: Connect, watched: Watched) -> None:
    connection = connect_watched(settle_delay=0)
    publish(connection, "settled", "held")
    take(connection).ack()
    held = take(connection)
    ledger = connection.connection.ledger  # type: ignore[attr-defined]
    watched.extended.clear()
    ledger.renew()
    held.ack()
    ledger.renew()
    assert watched.extended == [1]


def lose(connection: Connection, other: Connection, watched: Watched) -> tuple[Message, Message]:
    """A message whose lease the first connection could not renew, and the second's delivery of it."""
    publish(other, 1)
    watched.failing["extend"] = ALWAYS
    lost = take(connection)
    stolen: list[Message] = []
    consume(other, stolen.append)
    other.drain_events(timeout=PATIENCE)
    return lost, stolen[0]


def test_a_message_that_was_lost_to_another_cannot_be_settled(
    connect_watched: Connect, other: Connection, watched: Watched, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect_watched(lease=SHORT)
    lost, stolen = lose(connection, other, watched)
    assert stolen.delivery_info["delivery_count"] == 2
    lost.ack()
    connection.close()
    assert counts(name).total == 1
    assert any("lost" in warning and "orders" in warning for warning in warnings(caplog))
    stolen.ack()
    other.close()
    assert counts(name).total == 0


def test_a_lost_lease_is_noticed_when_it_is_to_be_renewed(
    connect_watched: Connect, other: Connection, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect_watched(lease=SHORT)
    lose(connection, other, watched)
    watched.failing["extend"] = 0
    ledger = connection.connection.ledger  # type: ignore[attr-defined]
    ledger.renew()
    assert not ledger.holding
    assert any("lease lost" in warning for warning in warnings(caplog))


def test_what_is_settled_while_leases_are_renewed_is_not_called_lost(
    connect_watched: Connect, watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect_watched(settle_delay=0)
    publish(connection, "one")
    message = take(connection)
    settle = watched.settle

    def settle_and_renew(outcomes: Sequence[Outcome]) -> list[bool]:
        answers = settle(outcomes)
        connection.connection.ledger.renew()  # type: ignore[attr-defined]
        return answers

    monkeypatch.setattr(watched, "settle", settle_and_renew)
    message.ack()
    assert watched.extended == [1]
    assert warnings(caplog) == []


def test_a_message_that_was_lost_while_it_waited_is_not_handed_out(
    connect_watched: Connect, other: Connection, watched: Watched
) -> None:
    connection = connect_watched(lease=SHORT)
    seen: list[Message] = []
    publish(other, "first", "second")
    watched.failing["extend"] = ALWAYS
    consume(connection, seen.append)
    connection.drain_events(timeout=PATIENCE)
    stolen: list[Message] = []
    consume(other, stolen.append)
    for _ in range(2):
        other.drain_events(timeout=PATIENCE)
    watched.failing["extend"] = 0
    connection.connection.ledger.renew()  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)
    assert [message.payload for message in seen] == ["first"]
    assert [message.payload for message in stolen] == ["first", "second"]
