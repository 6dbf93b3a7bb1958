"""kombu.aio over pika's asyncio adapter keeps the promises that it keeps over a thread."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from kombu import Connection, Queue, aio
from kombu.aio.native import NativeLink
from kombu.exceptions import (
    ConnectionError,
    KombuError,
    MessageReturned,
    MessageStateError,
    NotBoundError,
    NotFound,
    NotSupported,
    PreconditionFailed,
    PublishUncertain,
)
from tests import rabbitmq, servers
from tests.aio import ORDERS, aio_threads, play, received, turns, until
from tests.memory import PATIENCE
from tests.proxy import Proxy

pytestmark = pytest.mark.server("rabbitmq")

SOON = aio.RetryPolicy(interval_start=0.01, interval_step=0.01, interval_max=0.1)


@pytest.fixture
def name() -> Iterator[str]:
    """A virtual host of this test's own."""
    with rabbitmq.virtual_host() as made:
        yield made


@pytest.fixture
def connection(name: str) -> Iterator[Connection]:
    with Connection(rabbitmq.url("pika", name)) as made:
        yield made


@pytest.fixture
def orders_queue(connection: Connection) -> None:
    Queue("orders")(connection).declare()


@pytest.fixture
def hundred(connection: Connection, orders_queue: None) -> None:
    """A hundred messages wait, numbered."""
    connection.Producer().publish_many(range(100), routing_key="orders")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(servers.RABBITMQ_PORT) as made:
        yield made


def to(name: str, port: int = servers.RABBITMQ_PORT, **options: Any) -> aio.Connection:
    return aio.Connection(rabbitmq.url("pika", name, port, "?heartbeat=10"), **options)


def ready(connection: Connection, queue: str = "orders") -> int:
    return Queue(queue)(connection).queue_declare(passive=True).message_count


def test_the_event_loop_itself_talks_to_the_broker(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            await connection.declare(ORDERS)
            assert isinstance(connection.link, NativeLink)
            assert "kombu-pika" not in {thread.name for thread in threading.enumerate()}

    play(scene())


def test_messages_arrive_in_order_and_are_gone_when_acknowledged(
    name: str, hundred: None, connection: Connection
) -> None:
    async def scene() -> list[int]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            return await received(consumer, 100)

    assert play(scene()) == list(range(100))
    assert ready(connection) == 0


def test_a_consumer_waits_for_what_is_published_later(name: str, connection: Connection) -> None:
    async def scene() -> list[str]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            waiting = asyncio.create_task(received(consumer, 2))
            await turns()
            await link.Producer(routing_key="orders").publish("through the same connection")
            await asyncio.to_thread(connection.Producer().publish, "through another", routing_key="orders")
            return await waiting

    assert play(scene()) == ["through the same connection", "through another"]


def test_who_leaves_returns_what_nobody_has_seen_in_order(name: str, hundred: None) -> None:
    async def scene() -> list[int]:
        async with to(name) as link, to(name) as other:
            async with link.Consumer(ORDERS, prefetch_count=50) as consumer:
                await received(consumer, 1)
            async with other.Consumer(ORDERS) as consumer:
                return await received(consumer, 99)

    assert play(scene()) == list(range(1, 100))


def test_what_was_received_and_not_settled_goes_back_too(name: str, hundred: None, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link:
            with pytest.raises(ZeroDivisionError):
                async with link.Consumer(ORDERS) as consumer:
                    message = await consumer.get()
                    raise ZeroDivisionError
            with pytest.raises((MessageStateError, NotBoundError)):
                await message.ack()

    play(scene())
    assert ready(connection) == 100


def test_no_more_messages_are_out_than_prefetch_count_says(name: str, hundred: None, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS, prefetch_count=3) as consumer:
            held = [await consumer.get() for _ in range(3)]
            with pytest.raises(TimeoutError, match=r"no message within 0\.05 seconds"):
                await consumer.get(timeout=0.05)
            assert (await link.queue_declare(ORDERS, passive=True)).message_count == 97
            await held[0].ack()
            assert (await consumer.get(timeout=PATIENCE)).payload == 3

    play(scene())
    assert ready(connection) == 99


def test_several_coroutines_may_wait_at_one_consumer(name: str, connection: Connection) -> None:
    async def scene() -> list[int]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            tasks = [asyncio.create_task(received(consumer, 10)) for _ in range(10)]
            await turns()
            await link.Producer().publish_many(range(100), routing_key="orders")
            return [each for found in await asyncio.gather(*tasks) for each in found]

    assert sorted(play(scene())) == list(range(100))


def test_what_one_coroutine_publishes_keeps_its_order(name: str, orders_queue: None) -> None:
    async def scene() -> list[list[int]]:
        async with to(name) as link:
            producer = link.Producer(routing_key="orders")

            async def one(who: int) -> None:
                for number in range(10):
                    await producer.publish([who, number])

            await asyncio.gather(*(one(who) for who in range(30)))
            async with link.Consumer(ORDERS, prefetch_count=100) as consumer:
                return await received(consumer, 300)

    found = play(scene())
    for who in range(30):
        assert [number for whose, number in found if whose == who] == list(range(10))


def test_only_those_who_are_refused_hear_of_it(name: str, orders_queue: None, connection: Connection) -> None:
    wanted: list[dict[str, Any]] = [
        {"routing_key": "orders"},
        {"routing_key": "nowhere", "mandatory": True},
        {"routing_key": "orders"},
        {"exchange": "unknown"},
        {"routing_key": "orders", "delay": 10**9},
        {"routing_key": "nowhere"},
        {"routing_key": "orders"},
    ]

    async def scene() -> list[BaseException | None]:
        async with to(name) as link:
            producer = link.Producer()
            await producer.publish("first", routing_key="orders")
            tasks = [asyncio.create_task(producer.publish(at, **each)) for at, each in enumerate(wanted)]
            return await asyncio.gather(*tasks, return_exceptions=True)

    nothing = type(None)
    found = [type(each) for each in play(scene())]
    assert found == [nothing, MessageReturned, nothing, NotFound, NotSupported, nothing, nothing]
    assert ready(connection) == 4


def test_of_a_batch_only_what_came_back_is_told_of(name: str, orders_queue: None, connection: Connection) -> None:
    returned: list[tuple[str, int]] = []

    def on_return(error: KombuError, publication: Any) -> None:
        returned.append((publication.routing_key, threading.get_ident()))

    async def scene() -> None:
        async with to(name) as link:
            producer = link.Producer(on_return=on_return)
            for _ in range(2):
                async with producer.batch() as batch:
                    batch.publish(1, routing_key="orders", mandatory=True)
                    batch.publish(2, routing_key="elsewhere", mandatory=True)
                    batch.publish(3, routing_key="orders", mandatory=True)

    play(scene())
    assert returned == [("elsewhere", threading.get_ident())] * 2
    assert ready(connection) == 4


def test_what_a_publish_needs_is_declared_first(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link:
            shop = aio.Exchange("shop", "topic")
            orders = aio.Queue("orders", shop, routing_key="order.*")
            for _ in range(2):
                await link.Producer(shop).publish("one", routing_key="order.new", declare=[orders], mandatory=True)

    play(scene())
    assert ready(connection) == 2


def test_a_refused_declaration_is_the_error_of_its_caller_only(
    name: str, orders_queue: None, connection: Connection
) -> None:
    async def scene() -> Sequence[BaseException | None]:
        async with to(name) as link:
            producer = link.Producer(routing_key="orders")
            other = aio.Queue("orders", max_priority=3)
            return await asyncio.gather(
                producer.publish(1), producer.publish(2, declare=[other]), producer.publish(3), return_exceptions=True
            )

    assert [type(each) for each in play(scene())] == [type(None), PreconditionFailed, type(None)]
    assert ready(connection) == 2


def test_a_message_is_settled_once_and_each_way(name: str, hundred: None, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            acked, rejected, requeued, delayed = [await consumer.get() for _ in range(4)]
            await acked.ack()
            await rejected.reject()
            await requeued.requeue()
            await delayed.requeue(delay=3600)
            with pytest.raises(MessageStateError, match="already acknowledged"):
                await acked.reject()

    play(scene())
    assert ready(connection) == 97


def test_acknowledging_many_at_once(name: str, hundred: None, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS, prefetch_count=20) as consumer:
            messages = [await consumer.get() for _ in range(10)]
            await messages[-1].ack(multiple=True)

    play(scene())
    assert ready(connection) == 90


def test_without_acknowledgement_only_what_is_handed_out_is_gone(
    name: str, hundred: None, connection: Connection
) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS, no_ack=True, prefetch_count=20) as consumer:
            for number in range(10):
                assert (await consumer.get()).payload == number

    play(scene())
    assert ready(connection) == 90


def test_an_exclusive_queue_is_declared_and_consumed_on_one_connection(name: str) -> None:
    mine = aio.Queue("mine", exclusive=True)

    async def scene() -> None:
        async with to(name) as link:
            await link.declare(mine)
            async with link.Consumer(mine) as consumer:
                await link.Producer(routing_key="mine").publish("for me")
                assert await received(consumer, 1) == ["for me"]

    play(scene())


def test_the_consumer_of_a_deleted_queue_is_told_and_others_go_on(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.Consumer(aio.Queue("second")) as stays:
            async with link.Consumer(ORDERS) as consumer:
                waiting = asyncio.create_task(consumer.get())
                await turns()
                await asyncio.to_thread(Queue("orders")(connection).delete)
                with pytest.raises(NotFound, match="orders"):
                    await waiting
            await link.Producer(routing_key="second").publish("still here")
            assert await received(stays, 1) == ["still here"]

    play(scene())


def test_what_cannot_be_consumed_is_raised_when_the_block_is_entered(name: str, orders_queue: None) -> None:
    async def scene() -> None:
        async with to(name) as link:
            with pytest.raises(NotFound):
                await link.Consumer(aio.Queue("missing"), auto_declare=False).__aenter__()
            async with link.Consumer(ORDERS):
                """The connection is as good as before."""

    play(scene())


def test_a_simple_queue_gives_what_was_put(name: str) -> None:
    async def scene() -> None:
        async with to(name) as link, link.SimpleQueue("tasks") as queue:
            waiting = asyncio.create_task(queue.get())
            await turns()
            await queue.put({"number": 1})
            message = await waiting
            assert message.payload == {"number": 1}
            await message.ack()
            with pytest.raises(queue.Empty):
                await queue.get_nowait()

    play(scene())


def test_two_event_loops_one_after_the_other_may_use_a_connection(name: str, orders_queue: None) -> None:
    link = to(name)

    async def put() -> None:
        await link.Producer(routing_key="orders").publish("one")

    async def take() -> list[str]:
        async with link, link.Consumer(ORDERS) as consumer:
            return await received(consumer, 1)

    asyncio.run(put())
    assert play(take()) == ["one"]


def test_two_event_loops_at_once_may_use_a_connection(name: str, orders_queue: None) -> None:
    async def scene() -> list[int]:
        async with to(name) as link, link.Consumer(ORDERS) as consumer:
            producer = link.Producer(routing_key="orders")
            await producer.publish(0)
            await asyncio.to_thread(asyncio.run, producer.publish(1))
            return await received(consumer, 2)

    assert play(scene()) == [0, 1]


@pytest.mark.parametrize("seed", range(2))
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
        async with to(name) as link:
            await link.declare(ORDERS)
            producer = link.Producer()
            async with asyncio.TaskGroup() as tasks:
                for number in range(300):
                    tasks.create_task(one(producer, number))
            await producer.publish("the last", routing_key="orders")
            size = (await link.queue_declare(ORDERS, passive=True)).message_count
            async with link.Consumer(ORDERS, prefetch_count=100) as consumer:
                return Counter(await received(consumer, size))

    found = play(scene())
    assert set(told) == set(range(300))
    assert {number for number, what in told.items() if what == "published"} <= set(found)
    assert set(found.values()) == {1}


def test_in_a_storm_of_cancelled_waits_no_message_is_lost_or_doubled(name: str, orders_queue: None) -> None:
    chance = random.Random(1)
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

    async def scene() -> None:
        async with to(name) as link, link.Consumer(ORDERS, prefetch_count=7) as consumer:
            publish = link.Producer().publish_many(range(300), routing_key="orders")
            await asyncio.gather(publish, *(one(consumer) for _ in range(5)))

    play(scene())
    assert sorted(found) == list(range(300))


def test_consumers_that_are_cancelled_anywhere_return_what_they_hold(
    name: str, connection: Connection, hundred: None
) -> None:
    """Entering, waiting, settling and leaving are all cut off somewhere."""
    chance = random.Random(1)
    done: list[int] = []

    async def one(link: aio.Connection) -> None:
        async with link.Consumer(ORDERS, prefetch_count=5) as consumer:
            async for message in consumer:
                number = message.payload
                await message.ack()
                done.append(number)

    async def scene() -> None:
        async with to(name) as link:
            for _ in range(20):
                task = asyncio.create_task(one(link))
                await asyncio.sleep(chance.random() * 0.01)
                task.cancel()
                await asyncio.wait([task])

    play(scene())
    assert len(done) == len(set(done))
    assert ready(connection) == 100 - len(done)


def test_a_consumer_comes_back_and_nothing_is_lost(
    name: str, orders_queue: None, proxy: Proxy, connection: Connection
) -> None:
    done: set[int] = set()

    async def work(consumer: aio.Consumer) -> None:
        while len(done) < 20:
            message = await consumer.get()
            with suppress(KombuError):  # its connection was lost meanwhile: it is delivered again
                await message.ack()
                done.add(message.payload)

    async def scene() -> None:
        async with to(name, proxy.port) as link, link.Consumer(ORDERS, reconnect=SOON) as consumer:
            working = asyncio.create_task(work(consumer))
            for number in range(20):
                if number % 7 == 3:
                    await asyncio.to_thread(proxy.cut)
                await asyncio.to_thread(connection.Producer().publish, number, routing_key="orders")
            await working

    play(scene())
    assert done == set(range(20))
    assert proxy.opened > 1


def test_a_producer_comes_back_and_says_what_is_uncertain(name: str, orders_queue: None, proxy: Proxy) -> None:
    policy = {"interval_start": 0.01, "interval_step": 0.0}

    async def scene() -> set[int]:
        told = set()
        async with to(name, proxy.port) as link:
            producer = link.Producer(routing_key="orders")
            for number in range(30):
                if number % 10 == 5:
                    await asyncio.to_thread(proxy.cut)
                with suppress(PublishUncertain):
                    await producer.publish(number, retry=True, retry_policy=policy)
                    told.add(number)
        async with to(name) as link:
            size = (await link.queue_declare(ORDERS, passive=True)).message_count
            async with link.Consumer(ORDERS) as consumer:
                assert told <= set(await received(consumer, size))
        return told

    assert len(play(scene())) >= 27


def test_a_consumer_that_may_not_come_back_raises_where_it_waits(name: str, orders_queue: None, proxy: Proxy) -> None:
    async def scene() -> None:
        async with to(name, proxy.port) as link, link.Consumer(ORDERS, reconnect=None) as consumer:
            waiting = asyncio.create_task(consumer.get())
            await turns()
            await asyncio.to_thread(proxy.cut)
            with pytest.raises(ConnectionError, match="lost"):
                await waiting

    play(scene())


def test_closing_the_connection_ends_iterations(name: str, orders_queue: None) -> None:
    async def all_of(consumer: aio.Consumer) -> list[aio.Message]:
        return [message async for message in consumer]

    async def scene() -> list[aio.Message]:
        link = to(name)
        consumer = await link.Consumer(ORDERS).__aenter__()
        task = asyncio.create_task(all_of(consumer))
        await turns()
        await link.close()
        return await task

    assert play(scene()) == []


def test_a_connection_is_closed_by_who_forgets_it(name: str, orders_queue: None) -> None:
    async def scene() -> None:
        link = to(name)
        await link.Producer(routing_key="orders").publish("one")
        with pytest.warns(ResourceWarning, match="was not closed"):
            del link
        await until(lambda: not aio_threads())

    play(scene())


def test_who_waits_for_a_silent_broker_has_a_limit(name: str, orders_queue: None, proxy: Proxy) -> None:
    async def scene() -> None:
        options = {"confirm_timeout": 0.3, "operation_timeout": 0.3}
        async with to(name, proxy.port, transport_options=options) as link:
            producer = link.Producer(routing_key="orders")
            await producer.publish("one")
            await asyncio.to_thread(proxy.fall_silent)
            with pytest.raises(TimeoutError, match="may be stored or not"):
                await producer.publish("two")
            with pytest.raises(ConnectionError, match="did not answer"):
                await link.declare(ORDERS)
            await asyncio.to_thread(proxy.fall_silent, False)

    play(scene())
