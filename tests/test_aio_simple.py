"""SimpleQueue of kombu.aio: put and get."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest

from kombu import Connection, aio
from kombu.exceptions import ContentDisallowed, NotSupported
from kombu.simple import SimpleQueue
from kombu.transport.memory import MemoryStore
from tests.aio import play, turns, until
from tests.memory import PATIENCE, counts


def to(name: str) -> aio.Connection:
    return aio.Connection(f"memory://{name}")


def test_what_is_put_can_be_got(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks") as queue:
            await queue.put({"number": 1})
            await queue.put("two", headers={"kind": "text"}, priority=1)
            assert await queue.qsize() == 2
            message = await queue.get(timeout=PATIENCE)
            assert message.payload == {"number": 1}
            await message.ack()
            second = await queue.get_nowait()
            assert second.headers == {"kind": "text"}
            await second.ack()

    play(scene())
    assert counts(name, "tasks").total == 0


def test_it_is_the_same_queue_as_the_blocking_one(name: str, connection: Connection) -> None:
    async def scene() -> None:
        async with to(name) as link, link.SimpleQueue("tasks") as queue:
            with SimpleQueue(connection, "tasks") as blocking:
                blocking.put("from there")
                assert (await queue.get(timeout=PATIENCE)).payload == "from there"
                await queue.put("from here")
                assert blocking.get(timeout=PATIENCE).payload == "from here"

    play(scene())


def test_a_get_waits_for_a_put(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks") as queue:
            waiting = asyncio.create_task(queue.get())
            await turns()
            await queue.put("late")
            message = await waiting
            assert message.payload == "late"
            await message.ack()

    play(scene())
    assert counts(name, "tasks").total == 0


def test_several_messages_may_be_got_before_any_is_settled(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks") as queue:
            waiting = [asyncio.create_task(queue.get(timeout=PATIENCE)) for _ in range(3)]
            await turns()
            for number in range(3):
                await queue.put(number)
            messages = await asyncio.gather(*waiting)
            assert sorted(message.payload for message in messages) == [0, 1, 2]
            for message in messages:
                await message.ack()

    play(scene())
    assert counts(name, "tasks").total == 0


def test_an_empty_queue_raises_empty(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks") as queue:
            with pytest.raises(queue.Empty, match="'tasks' is empty"):
                await queue.get_nowait()
            with pytest.raises(queue.Empty, match=r"within 0\.01 seconds"):
                await queue.get(timeout=0.01)

    play(scene())


def test_what_was_got_and_not_settled_goes_back_when_it_is_closed(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            async with connection.SimpleQueue("tasks") as queue:
                await queue.put("one")
                await queue.get(timeout=PATIENCE)
            assert counts(name, "tasks").ready == 1
            assert (await queue.get_nowait()).payload == "one"

    play(scene())


def test_without_acknowledgement_a_message_is_gone_when_it_is_got(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks", no_ack=True) as queue:
            await queue.put("one")
            await queue.put("two")
            await queue.get_nowait()

    play(scene())
    assert counts(name, "tasks").ready == 1


def test_only_what_is_accepted_is_decoded(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks", accept=["raw"]) as queue:
            await queue.put({"json": True})
            message = await queue.get_nowait()
            with pytest.raises(ContentDisallowed):
                _ = message.payload

    play(scene())


def test_it_can_be_cleared(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue(aio.Queue("tasks")) as queue:
            assert await queue.clear() == 0
            await queue.put("one")
            assert await queue.clear() == 1

    play(scene())


def test_a_queue_that_goes_with_its_consumer_is_refused(name: str) -> None:
    async def scene() -> None:
        async with to(name) as connection:
            with pytest.raises(NotSupported, match="use a Consumer"):
                connection.SimpleQueue(aio.Queue("tasks", auto_delete=True))

    play(scene())


def test_gets_that_are_cancelled_anywhere_lose_nothing_and_keep_nothing(name: str) -> None:
    chance = random.Random(7)
    found: list[int] = []
    acks: list[asyncio.Task[None]] = []

    async def one(queue: aio.SimpleQueue) -> None:
        message = await queue.get()
        found.append(message.payload)
        acks.append(asyncio.create_task(message.ack()))

    async def scene() -> None:
        async with to(name) as connection, connection.SimpleQueue("tasks") as queue:
            for number in range(200):
                task = asyncio.create_task(one(queue))
                await turns(chance.randrange(3))
                await queue.put(number)
                await asyncio.sleep(chance.random() * 0.002)
                task.cancel()
                await asyncio.wait([task])
            await asyncio.gather(*acks)
            await until(lambda: counts(name, "tasks").leased == 0)

    play(scene())
    assert len(found) == len(set(found))
    assert counts(name, "tasks").ready + len(found) == 200
    assert 0 < len(found) < 200


@pytest.mark.parametrize("taken", [False, True])
def test_a_wait_that_is_cancelled_when_its_message_has_come_gives_it_back(
    name: str, connection: Connection, taken: bool
) -> None:
    gate = threading.Event()

    async def scene() -> None:
        async with to(name) as link, link.SimpleQueue("tasks") as queue:
            task = asyncio.create_task(queue.get())
            await until(lambda: "tasks" in MemoryStore(name).topology().queues)
            await turns()
            await link.run(lambda blocking: None)
            with SimpleQueue(connection, "tasks") as blocking:
                blocking.put("one")
            deadline = time.monotonic() + PATIENCE
            while not counts(name, "tasks").leased:  # the event loop stands still, so it has not heard yet
                assert time.monotonic() < deadline
            thread_at_work = asyncio.create_task(link.run(lambda blocking: gate.wait(PATIENCE)))
            await turns(5 if taken else 0)
            task.cancel()
            await turns()
            gate.set()
            await asyncio.wait([task, thread_at_work])
            assert task.cancelled()
            await until(lambda: counts(name, "tasks").ready == 1)

    play(scene())
