"""Publishing with ``await``: in batches, in order, and each caller with its own answer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from kombu import aio
from kombu.exceptions import (
    ConnectionError,
    EncodeError,
    KombuError,
    MessageReturned,
    NotFound,
    NotSupported,
    OperationalError,
    PreconditionFailed,
)
from kombu.transport.base import Channel, TransportConnection
from kombu.transport.memory import Transport
from tests.aio import ORDERS, Broker, aio_threads, busy, play, received, turns
from tests.memory import Connect, counts, take


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


class Watched(Transport):
    """Writes down how many messages go out with each call of ``publish_batch``."""

    batches: list[int] = []

    def establish_connection(self) -> TransportConnection:
        connection = super().establish_connection()
        make = connection.channel

        def channel() -> Channel:
            channel = make()
            publish = channel.publish_batch

            def publish_batch(publications: Any, timeout: float | None = None) -> None:
                self.batches.append(len(publications))
                publish(publications, timeout)

            channel.publish_batch = publish_batch  # type: ignore[method-assign]
            return channel

        connection.channel = channel  # type: ignore[method-assign]
        return connection


def test_a_thousand_coroutines_publish_in_one_batch(name: str, orders_queue: None) -> None:
    Watched.batches = []

    async def scene() -> None:
        async with aio.Connection(f"memory://{name}", transport=Watched) as connection:
            producers = [connection.Producer() for _ in range(10)]
            async with busy(connection):
                tasks = [
                    asyncio.create_task(producers[number % 10].publish(number, routing_key="orders"))
                    for number in range(1000)
                ]
                await turns()
            await asyncio.gather(*tasks)

    play(scene())
    assert Watched.batches == [1000]
    assert counts(name).ready == 1000


def test_coroutines_that_publish_freely_need_few_batches(name: str, orders_queue: None) -> None:
    Watched.batches = []

    async def scene() -> None:
        async with aio.Connection(f"memory://{name}", transport=Watched) as connection:
            producer = connection.Producer(routing_key="orders")
            await asyncio.gather(*(producer.publish(number) for number in range(1000)))

    play(scene())
    assert sum(Watched.batches) == 1000
    assert len(Watched.batches) < 500


def test_what_one_coroutine_publishes_keeps_its_order(name: str, orders_queue: None) -> None:
    async def scene() -> list[list[int]]:
        async with aio.Connection(f"memory://{name}") as connection:
            producer = connection.Producer(routing_key="orders")

            async def one(who: int) -> None:
                for number in range(20):
                    await producer.publish([who, number])

            await asyncio.gather(*(one(who) for who in range(50)))
            async with connection.Consumer(ORDERS) as consumer:
                return await received(consumer, 1000)

    found = play(scene())
    for who in range(50):
        assert [number for whose, number in found if whose == who] == list(range(20))


def test_only_those_of_a_batch_that_are_refused_hear_of_it(broker: Broker, name: str) -> None:
    async def scene() -> list[BaseException | None]:
        async with broker.connection() as connection:
            producer = connection.Producer()
            wanted: list[dict[str, Any]] = [
                {"routing_key": "orders"},
                {"routing_key": "nowhere", "mandatory": True},
                {"routing_key": "orders"},
                {"exchange": "unknown"},
                {"routing_key": "orders", "delay": -1},
                {"routing_key": "nowhere"},
                {"routing_key": "orders"},
            ]
            async with busy(connection):
                tasks = [asyncio.create_task(producer.publish(at, **each)) for at, each in enumerate(wanted)]
                await turns()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = play(scene())
    assert [type(each) for each in found] == [
        type(None),
        MessageReturned,
        type(None),
        NotFound,
        PreconditionFailed,
        type(None),
        type(None),
    ]
    assert counts(name).ready == 3


def test_each_caller_of_a_batch_that_failed_has_an_error_of_its_own(broker: Broker, name: str) -> None:
    async def scene() -> list[BaseException | None]:
        async with broker.connection() as connection:
            producer = connection.Producer(routing_key="orders")
            await producer.publish("the first")
            broker.fails(OperationalError("the disk is full"), times=1)
            async with busy(connection):
                tasks = [asyncio.create_task(producer.publish(number)) for number in range(3)]
                await turns()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = play(scene())
    assert [str(each) for each in found] == ["the disk is full"] * 3
    assert [type(each) for each in found] == [OperationalError] * 3
    assert len({id(each) for each in found}) == 3
    assert counts(name).ready == 1


def test_an_error_arrives_with_the_traceback_of_where_it_happened(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            broker.fails()
            await connection.Producer().publish("lost", routing_key="orders")

    with pytest.raises(ConnectionError) as caught:
        play(scene())
    assert "_check" in [entry.name for entry in caught.traceback]


def test_what_cannot_be_encoded_is_refused_before_anything_begins() -> None:
    async def scene() -> None:
        connection = aio.Connection("memory://")
        with pytest.raises(EncodeError):
            await connection.Producer().publish(object())
        with pytest.raises(TypeError, match="no argument colour"):
            await connection.Producer().publish("x", colour="red")
        assert not aio_threads()

    play(scene())


def test_the_arguments_of_publish_are_those_of_the_blocking_one(broker: Broker, connect: Connect) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            producer = connection.Producer("", "orders", serializer="raw", compression="gzip")
            await producer.publish(b"body", headers={"a": 1}, priority=3, reply_to=ORDERS, message_id="m1")

    play(scene())
    message = take(connect())
    assert message.payload == b"body"
    assert message.headers["a"] == 1
    assert "gzip" in message.headers["compression"]
    assert message.properties["message_id"] == "m1"
    assert message.properties["reply_to"] == "orders"


def test_many_are_published_together(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection, connection.Producer(routing_key="orders") as producer:
            await producer.publish_many(range(100))
            await producer.publish_many([])

    play(scene())
    assert broker.puts == [100]
    assert counts(name).ready == 100


def test_a_batch_goes_out_at_the_end_of_its_block(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            producer = connection.Producer()
            async with producer.batch() as batch:
                batch.publish(1, routing_key="orders")
                batch.publish(2, routing_key="orders")
            with pytest.raises(ZeroDivisionError):
                async with producer.batch() as batch:
                    batch.publish(3, routing_key="orders")
                    raise ZeroDivisionError

    play(scene())
    assert broker.puts == [2]
    assert counts(name).ready == 2


def test_a_returned_message_is_told_in_the_event_loop(broker: Broker, name: str) -> None:
    returned: list[tuple[str, int]] = []

    def on_return(error: KombuError, publication: Any) -> None:
        returned.append((publication.routing_key, threading.get_ident()))

    async def scene() -> None:
        async with broker.connection() as connection:
            producer = connection.Producer(on_return=on_return)
            await producer.publish("lost", routing_key="nowhere", mandatory=True)
            async with producer.batch() as batch:
                batch.publish(1, routing_key="orders", mandatory=True)
                batch.publish(2, routing_key="elsewhere", mandatory=True)
                batch.publish(3, routing_key="orders", mandatory=True)

    play(scene())
    assert returned == [("nowhere", threading.get_ident()), ("elsewhere", threading.get_ident())]
    assert counts(name).ready == 2


def test_what_a_publish_needs_is_declared_first(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            shop = aio.Exchange("shop", "topic")
            orders = aio.Queue("orders", shop, routing_key="order.*")
            await connection.Producer(shop).publish("one", routing_key="order.new", declare=[orders], mandatory=True)

    play(scene())
    assert counts(name).ready == 1


def test_a_refused_declaration_is_the_error_of_its_caller_only(broker: Broker, name: str) -> None:
    async def scene() -> list[BaseException | None]:
        async with broker.connection() as connection:
            producer = connection.Producer(routing_key="orders")
            other = aio.Queue("orders", max_priority=3)
            async with busy(connection):
                tasks = [
                    asyncio.create_task(producer.publish(1)),
                    asyncio.create_task(producer.publish(2, declare=[other])),
                    asyncio.create_task(producer.publish(3)),
                ]
                await turns()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = play(scene())
    assert [type(each) for each in found] == [type(None), PreconditionFailed, type(None)]
    assert counts(name).ready == 2


def test_a_producer_declares_its_exchange(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            producer = connection.Producer(aio.Exchange("shop", "fanout"))
            assert repr(producer) == "<Producer <Exchange 'shop' (fanout)>>"
            await producer.declare()
            await connection.declare(aio.Queue("orders", aio.Exchange("shop", "fanout")))
            await producer.publish("to all")

    play(scene())
    assert counts(name).ready == 1


def test_a_transaction_of_the_callers_is_refused_since_it_belongs_to_one_thread(name: str) -> None:
    async def main() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            with pytest.raises(NotSupported, match="belongs to one thread"):
                await connection.Producer().publish(1, "orders", within="default")

    asyncio.run(main())
