"""Publishing with ``await`` while the broker fails or hangs: tried again, and in the time that was given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kombu.exceptions import (
    ConnectionError,
)
from tests.aio import Broker, play, until
from tests.memory import counts


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


def test_a_publish_with_retry_comes_through_when_the_broker_is_back(broker: Broker, name: str) -> None:
    heard: list[str] = []

    async def scene() -> None:
        async with broker.connection() as connection:
            broker.fails(times=3)
            policy = {"interval_start": 0.01, "errback": lambda error, pause: heard.append(str(error))}
            producer = connection.Producer(routing_key="orders")
            await asyncio.gather(*(producer.publish(each, retry=True, retry_policy=policy) for each in range(10)))

    play(scene())
    assert set(heard) == {"the broker has gone away"}
    assert counts(name).ready == 10


def test_while_one_waits_to_try_again_others_publish(broker: Broker, name: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            producer = connection.Producer(routing_key="orders")
            broker.fails(times=1)
            policy = {"interval_start": 3600}
            waiting = asyncio.create_task(producer.publish("one", retry=True, retry_policy=policy))
            await until(lambda: broker.refusals == 0)
            await producer.publish("two")
            assert not waiting.done()
            waiting.cancel()

    play(scene())
    assert counts(name).ready == 1


def test_retrying_ends_with_the_last_error_when_its_attempts_are_used_up(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            broker.fails()
            policy = {"max_retries": 2, "interval_start": 0}
            policy["interval_step"] = 0
            await connection.Producer().publish("x", routing_key="orders", retry=True, retry_policy=policy)

    with pytest.raises(ConnectionError, match="gone away"):
        play(scene())


def test_retrying_ends_with_the_last_error_when_its_time_is_over(broker: Broker) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            broker.fails()
            policy = {"interval_start": 0.01, "interval_step": 0}
            options: dict[str, Any] = {"retry": True, "retry_policy": policy, "timeout": 0.1}
            await connection.Producer().publish("x", routing_key="orders", **options)

    with pytest.raises(ConnectionError, match="gone away"):
        play(scene())


@pytest.mark.parametrize("option", ["timeout", "confirm_timeout"])
def test_a_publish_keeps_its_time_when_the_broker_hangs(broker: Broker, name: str, option: str) -> None:
    async def scene() -> None:
        async with broker.connection() as connection:
            broker.gate.clear()
            options: Any = {option: 0.05}
            with pytest.raises(TimeoutError, match=r"0\.05 seconds"):
                await connection.Producer().publish("slow", routing_key="orders", **options)
            assert broker.entered.is_set()
            broker.gate.set()

    play(scene())
    assert counts(name).ready == 1
