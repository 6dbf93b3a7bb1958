"""The life of a connection of kombu.aio: its thread, its event loops, and what it passes on."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from kombu import Connection, aio
from kombu.exceptions import NotBoundError, OperationalError
from kombu.transport.base import Implements, TransportConnection
from kombu.transport.memory import Transport
from tests.aio import ORDERS, Broker, aio_threads, busy, no_thread_is_left, play, received, turns, until
from tests.memory import PATIENCE, counts, publish


@pytest.fixture
def broker(name: str, orders_queue: None) -> Broker:
    return Broker(name)


def test_one_thread_begins_with_the_first_await_and_ends_with_the_block(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            assert aio_threads() == []
            await connection.connect()
            await asyncio.gather(*(connection.declare(ORDERS) for _ in range(10)))
            [thread] = aio_threads()
            assert thread.daemon
        assert aio_threads() == []

    play(scene())


def test_closing_twice_at_once_or_unused_is_harmless(name: str) -> None:
    async def scene() -> None:
        connection = aio.Connection(f"memory://{name}")
        await connection.connect()
        await asyncio.gather(connection.close(), connection.close())
        await connection.close()
        await aio.Connection(f"memory://{name}").close()

    play(scene())


def test_a_closed_connection_says_so(name: str) -> None:
    async def scene() -> None:
        async with aio.Connection(f"memory://{name}") as connection:
            await connection.connect()
        for call in (connection.connect(), connection.Producer().publish("x"), connection.get("orders")):
            with pytest.raises(NotBoundError, match=r"memory.* is closed: make a new one"):
                await call

    play(scene())


def test_what_waits_when_the_connection_is_closed_is_done_or_refused(broker: Broker, name: str) -> None:
    async def scene() -> list[BaseException | None]:
        connection = broker.connection()
        producer = connection.Producer(routing_key="orders")
        async with busy(connection):
            before = [asyncio.create_task(producer.publish(number)) for number in range(5)]
            await turns()
            closing = asyncio.create_task(connection.close())
            await turns()
            after = [asyncio.create_task(producer.publish(number)) for number in range(5)]
            await turns()
        await closing
        return await asyncio.gather(*before, *after, return_exceptions=True)

    found = play(scene())
    assert found[:5] == [None] * 5
    assert {type(each) for each in found[5:]} == {NotBoundError}
    assert counts(name).ready == 5


def test_an_error_of_closing_is_raised_and_the_thread_ends(name: str, orders_queue: None) -> None:
    class Failing(Broker):
        def close(self) -> None:
            raise OperationalError("the last words were not written")

    async def scene() -> None:
        connection = Failing(name).connection()
        await connection.connect()
        with pytest.raises(OperationalError, match="last words"):
            await connection.close()

    play(scene())


def test_a_connection_that_is_forgotten_warns_and_ends_its_thread(name: str) -> None:
    async def scene() -> None:
        connection = aio.Connection(f"memory://{name}")
        await connection.connect()
        del connection

    with pytest.warns(ResourceWarning, match=r"memory.*was not closed"):
        asyncio.run(scene())
    gc.collect()
    assert no_thread_is_left()


def test_an_interpreter_that_exits_does_not_wait_for_it() -> None:
    program = """
import asyncio
from kombu import aio
async def main():
    global connection, consumer
    connection = aio.Connection("memory://")
    consumer = await connection.Consumer(aio.Queue("q")).__aenter__()
asyncio.run(main())
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_loop_that_is_closed_early_makes_no_noise(
    broker: Broker, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection = broker.connection()
    caplog.set_level(logging.INFO)

    async def left_in_the_middle() -> None:
        await connection.Producer(routing_key="orders").publish("first")
        broker.gate.clear()
        broker.entered.clear()
        task = asyncio.create_task(connection.Producer(routing_key="orders").publish("second"))
        await until(broker.entered.is_set)
        task.cancel()

    asyncio.run(left_in_the_middle())
    broker.gate.set()

    async def later() -> None:
        async with connection:
            await connection.Producer(routing_key="orders").publish("third")

    play(later())
    assert counts(name).ready == 3
    assert caplog.messages == []


def test_the_consumer_of_a_closed_loop_returns_its_messages(name: str, connection: Connection) -> None:
    link = aio.Connection(f"memory://{name}")

    async def left_without_a_word() -> None:
        await link.Consumer(ORDERS).__aenter__()

    asyncio.run(left_without_a_word())
    publish(connection, "one")

    async def later() -> list[Any]:
        async with link, link.Consumer(ORDERS) as consumer:
            return await received(consumer, 1)

    assert play(later()) == ["one"]


def test_event_loops_in_several_threads_may_share_a_connection(broker: Broker, name: str) -> None:
    connection = broker.connection()
    found: list[int] = []

    async def one(who: int) -> None:
        producer = connection.Producer(routing_key="orders")
        await asyncio.gather(*(producer.publish(who * 100 + number) for number in range(100)))
        async with connection.Consumer(ORDERS, prefetch_count=10) as consumer:
            found.extend(await received(consumer, 100))

    threads = [threading.Thread(target=lambda who=who: asyncio.run(one(who))) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    play(connection.close())
    assert sorted(found) == list(range(300))


def test_a_forked_child_is_refused_and_does_not_hang(broker: Broker) -> None:
    connection = broker.connection()
    asyncio.run(connection.connect())
    child = os.fork()
    if not child:
        os._exit(_said_in_the_child(connection))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    play(connection.close())


def _said_in_the_child(connection: aio.Connection) -> int:
    try:
        asyncio.run(asyncio.wait_for(connection.connect(), PATIENCE))
    except NotBoundError as error:
        asyncio.run(asyncio.wait_for(connection.close(), PATIENCE))
        return 7 if "another process" in str(error) else 1
    except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
        return 2
    return 3


def test_heartbeats_are_sent_while_nothing_is_to_be_done(name: str) -> None:
    beats: list[int] = []
    enough = threading.Event()

    class Beating(Transport):
        implements = Implements(heartbeats=True)

        def establish_connection(self) -> TransportConnection:
            connection = super().establish_connection()

            def heartbeat_check(rate: int = 2) -> None:
                beats.append(rate)
                if len(beats) == 3:
                    enough.set()

            connection.heartbeat_check = heartbeat_check  # type: ignore[method-assign]
            return connection

    async def scene() -> None:
        options: Any = {"transport": Beating, "heartbeat": 0.02}
        async with aio.Connection(f"memory://{name}", **options) as connection:
            await connection.connect()
            await until(enough.is_set)

    play(scene())


def test_a_fault_in_the_thread_reaches_all_who_wait(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        connection = broker.connection()
        async with connection.Consumer(ORDERS) as consumer:
            waiting = asyncio.create_task(consumer.get())
            await turns()
            link: Any = connection.link
            monkeypatch.setattr(link, "_do", lambda jobs: 1 / 0)
            with pytest.raises(NotBoundError):
                await connection.connect()
            with pytest.raises(ZeroDivisionError):
                await waiting
        await connection.close()

    play(scene())


def test_no_thread_is_left_when_all_is_over() -> None:
    assert no_thread_is_left()
