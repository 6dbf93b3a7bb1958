"""The keeper writes what is owed while handlers are busy, and ends with its connection."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from kombu import Message
from kombu.exceptions import OperationalError
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import Done, Outcome
from tests.memory import PATIENCE, Connect, counts, publish, take
from tests.watched import ALWAYS, NEVER, Watched, consume, publish_to


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kombu-keeper"}


def test_an_acknowledgement_is_written_while_a_handler_is_busy(
    connect_watched: Connect, watched: Watched, name: str
) -> None:
    def handle(message: Message) -> None:
        message.ack()
        watched.wait_until(lambda: len(watched.written) == 1)

    connection = connect_watched(settle_delay=0.01)
    publish(connection, 1)
    consume(connection, handle)
    connection.drain_events(timeout=PATIENCE)
    assert counts(name).total == 0


def test_the_keeper_writes_the_next_acknowledgement_too(connect_watched: Connect, watched: Watched) -> None:
    """However deep it sleeps: nothing else, no claim and no renewal, comes to wake it."""
    connection = connect_watched(settle_delay=0.001)
    publish(connection, *range(20))
    held = [take(connection) for _ in range(20)]
    for written, message in enumerate(held, start=1):
        message.ack()
        watched.wait_until(lambda written=written: len(watched.written) == written)  # type: ignore[misc]


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


def test_the_keeper_ends_with_its_connection(connect_watched: Connect) -> None:
    before = keepers()
    connection = connect_watched()
    publish(connection, 1)
    take(connection)
    assert len(keepers() - before) == 1
    connection.close()
    assert keepers() <= before


@pytest.mark.parametrize("call", ["settle", "close"])
def test_the_keeper_ends_although_closing_fails(call: str, connect_watched: Connect, watched: Watched) -> None:
    before = keepers()
    connection = connect_watched(settle_delay=NEVER)
    publish(connection, 1)
    take(connection).ack()
    watched.failing[call] = ALWAYS
    with pytest.raises(OperationalError, match=f"{call} failed"):
        connection.close()
    assert keepers() <= before
    assert "close" in watched.calls
