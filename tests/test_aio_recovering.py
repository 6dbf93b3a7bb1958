"""A connection that is lost: consumers come back by themselves, or say why they do not."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from kombu import aio
from kombu.exceptions import ConnectionError, KombuError, OperationalError, PreconditionFailed
from tests.aio import ORDERS, Broker, play, received, turns, until
from tests.memory import PATIENCE, counts

SOON = aio.RetryPolicy(interval_start=0.001, interval_step=0.001, interval_max=0.01)


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


async def put(connection: aio.Connection, *bodies: object) -> None:
    await connection.Producer(routing_key="orders").publish_many(bodies)


def test_a_consumer_comes_back_and_nothing_is_lost(broker: Broker, name: str) -> None:
    done: set[int] = set()

    async def work(consumer: aio.Consumer) -> None:
        while len(done) < 20:
            message = await consumer.get()
            with suppress(KombuError):  # its connection was lost meanwhile: it is delivered again
                await message.ack()
                done.add(message.payload)

    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=SOON) as consumer:
            working = asyncio.create_task(work(consumer))
            for number in range(20):
                if number % 4 == 0:
                    broker.fails(times=3)
                policy = {"interval_start": 0.001, "interval_step": 0.0}
                await connection.Producer(routing_key="orders").publish(number, retry=True, retry_policy=policy)
            await working

    play(scene())
    assert done == set(range(20))
    assert broker.opened > 1


def test_what_it_held_is_delivered_again(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=SOON) as consumer:
            await put(connection, "one")
            held = await consumer.get()
            broker.fails(times=1)
            again = await consumer.get(timeout=PATIENCE)
            assert again.payload == "one"
            assert again.delivery_info["redelivered"]
            with pytest.raises(Exception, match=r"requeued|closed|unknown"):
                await held.ack()
            await again.ack()

    play(scene())


def test_it_comes_back_by_itself_unless_told_otherwise(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "kombu.aio")

    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS) as consumer:
            broker.fails(times=1)
            await until(lambda: broker.refusals == 0)
            await put(connection, "one")
            assert await received(consumer, 1) == ["one"]

    play(scene())
    assert "again in" in caplog.text
    assert "gone away" in caplog.text


def test_a_consumer_that_may_not_come_back_raises_where_it_waits(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=None) as consumer:
            waiting = asyncio.create_task(consumer.get())
            await turns()
            broker.fails(times=1)
            with pytest.raises(ConnectionError, match="gone away"):
                await waiting
            with pytest.raises(ConnectionError, match="gone away"):
                async for _ in consumer:
                    """Again and again, until the block is left."""

    play(scene())


def test_when_its_attempts_are_used_up_it_raises_the_last_error(broker: Broker) -> None:
    policy = aio.RetryPolicy(max_retries=3, interval_start=0.001, interval_step=0.0)

    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=policy) as consumer:
            broker.fails()
            with pytest.raises(ConnectionError, match="gone away"):
                await consumer.get()
            broker.works()

    play(scene())


def test_who_waits_in_vain_is_told_why(broker: Broker) -> None:
    policy = aio.RetryPolicy(interval_start=3600)

    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=policy) as consumer:
            broker.fails(times=1)
            await until(lambda: broker.refusals == 0)
            with pytest.raises(TimeoutError, match="gone away"):
                await consumer.get(timeout=0.05)

    play(scene())


def test_an_error_that_leaves_the_connection_good_leaves_what_is_held(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=SOON) as consumer:
            await put(connection, "one")
            held = await consumer.get()
            broker.fails(OperationalError("locked"), times=3)
            await until(lambda: broker.refusals == 0)
            await held.ack()
            await put(connection, "two")
            assert await received(consumer, 1) == ["two"]

    play(scene())
    assert broker.opened == 1


def test_others_publish_while_a_consumer_waits_to_come_back(broker: Broker, name: str) -> None:
    policy = aio.RetryPolicy(interval_start=3600)

    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=policy):
            broker.fails(times=1)
            await until(lambda: broker.refusals == 0)
            await put(connection, "one")

    play(scene())
    assert counts(name).ready == 1


def test_a_consumer_comes_back_when_a_job_replaced_the_connection(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=SOON) as consumer:
            await connection.run(lambda blocking: blocking.reconnect())
            await put(connection, "one")
            assert await received(consumer, 1) == ["one"]

    play(scene())


def test_all_consumers_of_a_connection_come_back(broker: Broker) -> None:
    second = aio.Queue("second")

    async def scene() -> None:
        async with broker.connection() as connection:
            one = connection.Consumer(ORDERS, reconnect=SOON)
            other = connection.Consumer(second, reconnect=SOON)
            async with one, other:
                broker.fails(times=4)
                await until(lambda: broker.refusals == 0)
                await put(connection, "one")
                await connection.Producer(routing_key="second").publish("other")
                assert await received(one, 1) == ["one"]
                assert await received(other, 1) == ["other"]

    play(scene())


def test_a_consumer_whose_queue_is_another_by_now_is_told(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Consumer(ORDERS, reconnect=SOON) as consumer:
            broker.delete("orders")
            await connection.declare(aio.Queue("orders", max_priority=3))
            await connection.run(lambda blocking: blocking.reconnect())
            with pytest.raises(PreconditionFailed, match="x-max-priority"):
                await consumer.get(timeout=PATIENCE)

    play(scene())
