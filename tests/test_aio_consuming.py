"""Receiving with ``async for``: in order, bounded, and nothing is kept by who has left."""

from __future__ import annotations

import asyncio

import pytest

from kombu import Connection, aio
from kombu.exceptions import MessageStateError, NotBoundError, NotFound
from tests.aio import ORDERS, play, received, turns, until
from tests.memory import PATIENCE, counts, publish


def to(name: str) -> aio.Connection:
    return aio.Connection(f"memory://{name}")


@pytest.fixture
def hundred(connection: Connection, orders_queue: None) -> None:
    """A hundred messages wait, numbered."""
    publish(connection, *range(100))


def test_messages_arrive_in_order_and_are_gone_when_acknowledged(name: str, hundred: None) -> None:
    async def scene() -> list[int]:
        found = []
        async with to(name) as connection, connection.Consumer(ORDERS) as consumer:
            async for message in consumer:
                found.append(message.payload)
                await message.ack()
                if len(found) == 100:
                    break
        return found

    assert play(scene()) == list(range(100))
    assert counts(name).total == 0


def test_a_consumer_waits_for_what_is_published_later(name: str, connection: Connection) -> None:
    async def scene() -> list[str]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            waiting = asyncio.create_task(received(consumer, 2))
            await turns()
            await link.Producer(routing_key="orders").publish("through the same connection")
            publish(connection, "through another")
            return await waiting

    assert play(scene()) == ["through the same connection", "through another"]


def test_who_leaves_returns_what_nobody_has_seen_in_order(name: str, hundred: None) -> None:
    async def scene() -> list[tuple[int, int]]:
        async with to(name) as connection, to(name) as other:
            async with connection.Consumer(ORDERS, prefetch_count=50) as consumer:
                async for message in consumer:
                    await message.ack()
                    break
            async with other.Consumer(ORDERS) as consumer:
                found = []
                for _ in range(99):
                    message = await consumer.get(timeout=PATIENCE)
                    await message.ack()
                    found.append((message.payload, message.delivery_info["delivery_count"]))
                return found

    assert play(scene()) == [(number, 1) for number in range(1, 100)]


def test_what_was_received_and_not_settled_goes_back_too(name: str, hundred: None) -> None:
    async def scene() -> aio.Message:
        async with to(name) as connection:
            with pytest.raises(ZeroDivisionError):
                async with connection.Consumer(ORDERS) as consumer:
                    message = await consumer.get()
                    raise ZeroDivisionError
            assert counts(name).ready == 100
            with pytest.raises((MessageStateError, NotBoundError)):
                await message.ack()
            return message

    assert play(scene()).payload == 0


def test_no_more_messages_are_out_than_prefetch_count_says(name: str, hundred: None) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS, prefetch_count=3) as consumer:
            held = [await consumer.get() for _ in range(3)]
            with pytest.raises(TimeoutError, match=r"no message within 0\.05 seconds"):
                await consumer.get(timeout=0.05)
            assert counts(name).leased == 3
            await held[0].ack()
            assert (await consumer.get()).payload == 3

    play(scene())
    assert counts(name).ready == 99


def test_a_full_consumer_does_not_keep_others_of_its_connection_waiting(name: str, hundred: None) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS, prefetch_count=1) as full:
            await full.get()
            await connection.declare(aio.Queue("second"))
            async with connection.Consumer(aio.Queue("second")) as consumer:
                for number in range(20):
                    await connection.Producer(routing_key="second").publish(number)
                    assert await received(consumer, 1) == [number]

    play(scene())


def test_two_consumers_share_a_queue_and_one_that_leaves_takes_nothing_along(name: str, hundred: None) -> None:
    async def scene() -> list[int]:
        async with to(name) as connection, connection.Consumer(ORDERS, prefetch_count=10) as stays:
            async with connection.Consumer(ORDERS, prefetch_count=10) as leaves:
                found = [*await received(leaves, 5), *await received(stays, 5)]
            return found + await received(stays, 90)

    assert sorted(play(scene())) == list(range(100))


def test_several_coroutines_may_wait_at_one_consumer(name: str, connection: Connection) -> None:
    async def scene() -> list[int]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            tasks = [asyncio.create_task(received(consumer, 10)) for _ in range(10)]
            await turns()
            publish(connection, *range(100))
            return [each for found in await asyncio.gather(*tasks) for each in found]

    assert sorted(play(scene())) == list(range(100))


def test_a_consumer_takes_from_several_queues(name: str) -> None:
    async def scene() -> set[str]:
        queues = [aio.Queue("a"), aio.Queue("b")]
        async with to(name) as connection, connection.Consumer(queues) as consumer:
            for queue in queues:
                await connection.Producer().publish(queue.name, routing_key=queue.name)
            assert repr(consumer) == "<Consumer a, b>"
            return set(await received(consumer, 2))

    assert play(scene()) == {"a", "b"}


def test_get_raises_when_nothing_comes_in_time(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.Consumer(ORDERS) as consumer:
            for seconds in (0, 0.01):
                with pytest.raises(TimeoutError, match="no message"):
                    await consumer.get(timeout=seconds)

    play(scene())


def test_a_consumer_that_is_cancelled_ends_its_iterations(name: str, orders_queue: None) -> None:
    async def scene() -> list[aio.Message]:
        async with to(name) as connection, connection.Consumer(ORDERS) as consumer:
            task = asyncio.create_task(_all(consumer))
            await turns()
            await consumer.cancel()
            await consumer.cancel()
            with pytest.raises(NotBoundError, match="was cancelled"):
                await consumer.get()
            return await task

    assert play(scene()) == []


def test_closing_the_connection_ends_iterations(name: str, orders_queue: None) -> None:
    async def scene() -> list[aio.Message]:
        connection = to(name)
        consumer = await connection.Consumer(ORDERS).__aenter__()
        task = asyncio.create_task(_all(consumer))
        await turns()
        await connection.close()
        await consumer.cancel()
        return await task

    assert play(scene()) == []


async def _all(consumer: aio.Consumer) -> list[aio.Message]:
    return [message async for message in consumer]


def test_a_consumer_may_begin_again_after_it_ended(name: str, hundred: None) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            consumer = connection.Consumer(ORDERS)
            for number in range(2):
                async with consumer:
                    assert await received(consumer, 1) == [number]
                    with pytest.raises(NotBoundError, match="consuming already"):
                        await consumer.__aenter__()

    play(scene())


def test_a_consumer_outside_of_its_block_says_how_to_use_it(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            with pytest.raises(NotBoundError, match="async with"):
                await connection.Consumer(ORDERS).get()

    play(scene())


def test_what_cannot_be_declared_is_raised_when_the_block_is_entered(name: str, orders_queue: None) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            with pytest.raises(NotFound):
                await connection.Consumer(aio.Queue("missing"), auto_declare=False).__aenter__()
            async with connection.Consumer(ORDERS):
                """The connection is as good as before."""

    play(scene())


def test_the_consumer_of_a_deleted_queue_is_told_and_others_go_on(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(aio.Queue("second")) as stays:
            async with link.Consumer(ORDERS) as consumer:
                waiting = asyncio.create_task(consumer.get())
                await turns()
                aio.Queue("orders")(connection).delete()
                with pytest.raises(NotFound, match="orders"):
                    await waiting
            publish(connection, "still here", queue="second")
            assert await received(stays, 1) == ["still here"]

    play(scene())


def test_a_consumer_in_an_idle_connection_hears_of_other_processes(name: str, connection: Connection) -> None:
    """What wakes it is the broker, not a job."""

    async def scene() -> list[int]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            waiting = asyncio.create_task(received(consumer, 3))
            for number in range(3):
                await asyncio.sleep(0.02)
                publish(connection, number)
            await until(waiting.done)
            return await waiting

    assert play(scene()) == [0, 1, 2]


def test_who_takes_message_after_message_lets_others_have_their_turn(name: str, hundred: None) -> None:
    async def scene() -> None:
        turn = asyncio.Event()
        async with to(name) as connection, connection.Consumer(ORDERS, no_ack=True, prefetch_count=100) as consumer:
            await until(lambda: counts(name).leased == 100)
            asyncio.get_running_loop().call_soon(turn.set)
            for _ in range(99):
                await consumer.__anext__()
            assert turn.is_set()

    play(scene())
