"""What a connection of kombu.aio passes on: declaring, looking, connecting, and anything else."""

from __future__ import annotations

import threading

import pytest

from kombu import aio
from kombu.exceptions import InvalidURL, NotFound, OperationalError, PreconditionFailed, UnknownTransport
from tests.aio import ORDERS, Broker, play
from tests.brokers import Unreachable
from tests.memory import counts


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


def test_whatever_the_blocking_api_can_do_runs_in_the_thread(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            assert await connection.run(lambda blocking: (blocking.connected, threading.get_ident())) != (
                False,
                threading.get_ident(),
            )
            with pytest.raises(ZeroDivisionError):
                await connection.run(lambda blocking: 1 / 0)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await connection.run(lambda blocking: next(iter(())))

    play(scene())


def test_declaring_binding_and_deleting(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            shop = aio.Exchange("shop", "topic")
            assert await connection.declare(shop) == "shop"
            assert await connection.declare(aio.Queue("")) != ""
            assert await connection.declare(ORDERS) == "orders"
            await connection.bind("orders", shop, "order.*")
            await connection.Producer(shop).publish_many(range(5), routing_key="order.new", mandatory=True)
            assert (await connection.queue_declare("orders", passive=True)).message_count == 5
            message = await connection.get("orders")
            assert message is not None
            assert message.payload == 0
            assert await connection.purge(ORDERS) == 4
            await message.requeue()
            with pytest.raises(PreconditionFailed):
                await connection.delete(ORDERS, if_empty=True)
            await connection.unbind(ORDERS, shop, "order.*")
            assert await connection.delete(ORDERS) == 1
            await connection.delete(shop)
            with pytest.raises(NotFound):
                await connection.delete(shop)

    play(scene())


def test_one_message_at_a_time(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            assert await connection.get("orders") is None
            await connection.Producer(routing_key="orders").publish_many(["one", "two"])
            message = await connection.get(ORDERS, no_ack=True)
            assert message is not None
            assert message.payload == "one"
            await message.ack()

    play(scene())
    assert counts(name).ready == 1


def test_ensuring_a_connection_tries_again_and_tells(broker: Broker) -> None:
    heard: list[float] = []

    async def scene() -> None:
        async with broker.connection() as connection:
            broker.fails(times=3)
            policy = aio.RetryPolicy(interval_start=0.001, interval_step=0.0, jitter=0.0)
            await connection.ensure_connection(policy=policy, errback=lambda error, pause: heard.append(pause))

    play(scene())
    assert heard == [0.001] * 3


def test_ensuring_a_connection_keeps_its_time() -> None:
    async def scene() -> None:
        async with aio.Connection("memory://", transport=Unreachable) as connection:
            with pytest.raises(OperationalError, match="nobody is there"):
                await connection.ensure_connection(timeout=0.05)
            with pytest.raises(OperationalError, match="nobody is there"):
                await connection.connect()

    play(scene())


def test_a_wrong_url_is_refused_at_once_and_an_unknown_scheme_when_connecting() -> None:
    with pytest.raises(InvalidURL):
        aio.Connection("memory://?connect_timeout=soon")

    async def scene() -> None:
        async with aio.Connection("carrier-pigeon://") as connection:
            with pytest.raises(UnknownTransport, match="carrier-pigeon"):
                await connection.connect()

    play(scene())


def test_the_password_is_hidden() -> None:
    connection = aio.Connection("amqp://me:secret@host//")
    assert "secret" not in repr(connection) + connection.as_uri() + str(connection.info())
    assert "secret" in connection.as_uri(include_password=True)
