"""Settling with ``await``: once, each way, gathered, or by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kombu import Connection, aio
from kombu.exceptions import ContentDisallowed, MessageStateError
from kombu.transport.virtual.store import Outcome
from tests.aio import ORDERS, Broker, play, received, until
from tests.memory import Connect, counts, publish, take


def to(name: str) -> aio.Connection:
    return aio.Connection(f"memory://{name}")


@pytest.fixture
def hundred(connection: Connection, orders_queue: None) -> None:
    """A hundred messages wait, numbered."""
    publish(connection, *range(100))


def test_without_acknowledgement_only_what_is_handed_out_is_gone(name: str, hundred: None) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS, no_ack=True, prefetch_count=20) as consumer:
            for number in range(10):
                message = await consumer.get()
                assert message.payload == number
                assert message.no_ack
                await message.ack()
                with pytest.raises(MessageStateError):
                    await message.requeue()

    play(scene())
    assert counts(name).ready == 90


def test_a_message_is_settled_once_and_each_way(name: str, hundred: None, connect: Connect) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS) as consumer:
            acked, rejected, requeued, delayed = [await consumer.get() for _ in range(4)]
            await acked.ack()
            await rejected.reject()
            await requeued.requeue()
            await delayed.requeue(delay=3600)
            with pytest.raises(MessageStateError, match="already acknowledged"):
                await acked.reject()
            assert acked.acknowledged
            assert "acknowledged" in repr(acked)

    play(scene())
    assert counts(name).ready == 97
    assert counts(name).delayed == 1
    assert take(connect()).payload == 2


def test_acknowledging_many_at_once(name: str, hundred: None) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS) as consumer:
            messages = [await consumer.get() for _ in range(10)]
            await messages[-1].ack(multiple=True)

    play(scene())
    assert counts(name).ready == 90


def test_what_may_not_be_decoded_raises_where_it_is_read_and_stays(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS, accept=["raw"]) as consumer:
            publish(connection, {"json": True})
            message = await consumer.get()
            with pytest.raises(ContentDisallowed):
                _ = message.payload
            assert message.content_type == "application/json"
            assert isinstance(message.body, bytes)

    play(scene())
    assert counts(name).ready == 1


def test_acknowledgements_gather_while_coroutines_are_busy(
    name: str, hundred: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kombu.aio.receiving._LINGER", 0.2)
    settled: list[int] = []

    class Counting(Broker):
        def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
            settled.append(len(outcomes))
            return super().settle(outcomes)

    async def scene() -> None:
        connection = Counting(name).connection()
        async with connection, connection.Consumer(ORDERS, prefetch_count=100) as consumer:
            await until(lambda: counts(name).leased == 100)
            await received(consumer, 100)

    play(scene())
    assert sum(settled) == 100
    assert len(settled) < 20


def test_who_waits_for_a_message_does_not_wait_for_others_to_settle(
    name: str, hundred: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kombu.aio.receiving._LINGER", 3600.0)

    async def scene() -> list[int]:
        async with to(name) as connection, connection.Consumer(ORDERS, prefetch_count=1) as consumer:
            return await received(consumer, 20)

    assert play(scene()) == list(range(20))
