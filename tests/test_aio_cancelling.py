"""Cancellation leaves nothing half done: it happened, or it did not, and no message is lost."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections import Counter

import pytest

from kombu import Connection, aio
from tests.aio import ORDERS, Broker, busy, play, received, turns, until
from tests.memory import PATIENCE, counts, publish


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


def test_a_publish_that_was_not_on_its_way_yet_never_happens(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            producer = connection.Producer(routing_key="orders")
            async with busy(connection):
                cancelled = asyncio.create_task(producer.publish("cancelled"))
                stays = asyncio.create_task(producer.publish("stays"))
                await turns()
                cancelled.cancel()
                await turns()
                assert cancelled.cancelled()
            await stays
            async with connection.Consumer(ORDERS) as consumer:
                assert await received(consumer, 1) == ["stays"]

    play(scene())
    assert counts(name).total == 0


def test_a_publish_that_was_on_its_way_happens(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            broker.gate.clear()
            task = asyncio.create_task(connection.Producer(routing_key="orders").publish("on its way"))
            await until(broker.entered.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            broker.gate.set()

    play(scene())
    assert counts(name).ready == 1


@pytest.mark.parametrize("seed", range(5))
def test_in_a_storm_of_cancellations_callers_know_what_became_of_their_messages(name: str, seed: int) -> None:
    """Published: there once. Cancelled: there once or not at all. Nothing else."""
    chance = random.Random(seed)
    told: dict[int, str] = {}

    async def one(producer: aio.Producer, number: int) -> None:
        try:
            async with asyncio.timeout(chance.random() * 0.02):
                await producer.publish(number, routing_key="orders", declare=[ORDERS])
        except TimeoutError:
            told[number] = "cancelled"
        else:
            told[number] = "published"

    async def scene() -> Counter[int]:
        async with aio.Connection(f"memory://{name}") as connection:
            await connection.declare(ORDERS)
            producer = connection.Producer()
            for start in range(0, 1000, 200):
                async with asyncio.TaskGroup() as tasks:
                    for number in range(start, start + 200):
                        tasks.create_task(one(producer, number))
            size = (await connection.queue_declare(ORDERS, passive=True)).message_count
            async with connection.Consumer(ORDERS) as consumer:
                return Counter(await received(consumer, size))

    found = play(scene())
    assert set(told) == set(range(1000))
    assert {number for number, what in told.items() if what == "published"} <= set(found)
    assert set(found.values()) == {1}


@pytest.mark.parametrize("seed", range(5))
def test_in_a_storm_of_cancelled_waits_no_message_is_lost_or_doubled(
    name: str, seed: int, connection: Connection, orders_queue: None
) -> None:
    chance = random.Random(seed)
    found: list[int] = []

    async def one(consumer: aio.Consumer) -> None:
        while len(found) < 300:
            try:
                async with asyncio.timeout(chance.random() * 0.004):
                    message = await consumer.get()
            except TimeoutError:
                continue
            found.append(message.payload)
            await message.ack()

    async def feed() -> None:
        for number in range(300):
            publish(connection, number)
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.003)

    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as link, link.Consumer(ORDERS, prefetch_count=7) as consumer:
            await asyncio.gather(feed(), *(one(consumer) for _ in range(5)))

    play(scene())
    assert sorted(found) == list(range(300))
    assert counts(name).total == 0


@pytest.mark.parametrize("seed", range(5))
def test_consumers_that_are_cancelled_anywhere_return_what_they_hold(
    name: str, seed: int, connection: Connection, orders_queue: None
) -> None:
    """Entering, waiting, settling and leaving are all cut off somewhere."""
    chance = random.Random(seed)
    publish(connection, *range(200))
    done: list[int] = []

    async def one(link: aio.Connection) -> None:
        async with link.Consumer(ORDERS, prefetch_count=5) as consumer:
            async for message in consumer:
                number = message.payload
                await message.ack()
                done.append(number)

    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as link:
            for _ in range(60):
                task = asyncio.create_task(one(link))
                await asyncio.sleep(chance.random() * 0.003)
                task.cancel()
                await asyncio.wait([task])

    play(scene())
    held = counts(name)
    assert held.leased == 0
    assert len(done) == len(set(done))
    assert 200 - len(done) - 60 <= held.ready <= 200 - len(done)  # an ack that was cut off may have happened


def test_a_get_that_is_cancelled_while_it_is_done_gives_its_message_back(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            await connection.Producer(routing_key="orders").publish("one")
            gate, done = threading.Event(), threading.Event()
            before = asyncio.create_task(connection.run(lambda blocking: gate.wait(PATIENCE)))
            await turns()
            task = asyncio.create_task(connection.get("orders"))
            await turns()
            after = asyncio.create_task(connection.run(lambda blocking: done.set()))
            await turns()
            gate.set()
            assert done.wait(PATIENCE)  # the event loop stands still meanwhile, so it has not heard yet
            task.cancel()
            await asyncio.wait([before, task, after])
            assert task.cancelled()
            assert await message_comes_back(connection) == "one"

    play(scene())
    assert counts(name).total == 0


def test_a_get_that_is_cancelled_when_its_answer_has_come_gives_its_message_back(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            await connection.Producer(routing_key="orders").publish("one")
            tasks: list[asyncio.Task[aio.Message | None]] = []

            async def first() -> None:
                await connection.run(lambda blocking: None)
                tasks[0].cancel()  # both answers came together, and it has not gone on yet

            async with busy(connection):
                before = asyncio.create_task(first())
                await turns()
                tasks.append(asyncio.create_task(connection.get("orders")))
                await turns()
            await asyncio.wait([before, *tasks])
            assert tasks[0].cancelled()
            assert await message_comes_back(connection) == "one"

    play(scene())
    assert counts(name).total == 0


def test_an_error_that_comes_too_late_for_its_caller_makes_no_noise(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            tasks: list[asyncio.Task[object]] = []

            async def first() -> None:
                await connection.run(lambda blocking: None)
                tasks[0].cancel()

            async with busy(connection):
                before = asyncio.create_task(first())
                await turns()
                tasks.append(asyncio.create_task(connection.run(lambda blocking: 1 / 0)))
                await turns()
            await asyncio.wait([before, *tasks])
            assert tasks[0].cancelled()

    play(scene())
    gc.collect()
    assert caplog.messages == []


async def message_comes_back(connection: aio.Connection) -> object:
    while (message := await connection.get("orders")) is None:
        await asyncio.sleep(0)
    await message.ack()
    return message.payload


def test_a_consumer_whose_beginning_is_cancelled_holds_nothing(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as link:
            for delay in (0, 0, 1, 2, 3):
                task = asyncio.create_task(link.Consumer(ORDERS).__aenter__())
                await turns(delay)
                task.cancel()
                await asyncio.wait([task])
            await link.declare(ORDERS)
            await link.run(lambda blocking: None)
            publish(connection, "for nobody")
            state = await link.queue_declare(ORDERS, passive=True)
            assert state.message_count == 1

    play(scene())
    assert counts(name).ready == 1


def test_a_connection_whose_end_is_cancelled_ends_all_the_same(broker: Broker) -> None:
    async def scene() -> None:
        connection = broker.connection()
        async with busy(connection):
            task = asyncio.create_task(connection.close())
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    play(scene())


def test_a_block_that_is_cancelled_leaves_no_thread(broker: Broker) -> None:
    async def inner(connection: aio.Connection) -> None:
        async with connection, connection.Consumer(ORDERS) as consumer:
            await consumer.get()

    async def scene() -> None:
        for delay in range(10):
            task = asyncio.create_task(inner(broker.connection()))
            await asyncio.sleep(delay / 1000)
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)

    play(scene())
