"""For the tests of kombu.aio: an event loop that leaves no thread behind, and brokers that can be held or broken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kombu import aio
from kombu.exceptions import ConnectionError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Delivery, Envelope
from tests.memory import PATIENCE, transport_over

T = TypeVar("T")

ORDERS = aio.Queue("orders")


def play(scene: Coroutine[Any, Any, T]) -> T:
    """Run it within PATIENCE; afterwards no connection's thread is left."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await scene

    result = asyncio.run(bounded())
    assert no_thread_is_left()
    return result


def no_thread_is_left() -> bool:
    """True once those that are about to end have ended."""
    for thread in aio_threads():
        thread.join(PATIENCE)
    return not aio_threads()


def aio_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kombu-aio"]


@asynccontextmanager
async def busy(connection: aio.Connection) -> AsyncIterator[None]:
    """Keep the connection's thread at work on something, so that jobs gather, until the block ends."""
    loop, begun, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def work(blocking: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert gate.wait(PATIENCE)

    task = asyncio.create_task(connection.run(work))
    await begun.wait()
    try:
        yield
    finally:
        gate.set()
        await task


async def turns(count: int = 3) -> None:
    """Let the other tasks run until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


class Broker(MemoryStore):
    """Tells what is asked of it, can be held in the middle of a put, and can go away."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.puts: list[int] = []
        self.opened = 0
        self.error: Exception | None = None
        self.refusals = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def fails(self, error: Exception | None = None, times: int = 10**9) -> None:
        """Every connecting, claiming and putting from now on; or the next ``times``."""
        self.error, self.refusals = error or ConnectionError("the broker has gone away"), times

    def works(self) -> None:
        self.refusals = 0

    def open(self) -> None:
        self._check()
        self.opened += 1

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        self._check()
        return super().claim(wants, lease)

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        if items:
            self.entered.set()
            assert self.gate.wait(PATIENCE)
            self._check()
            self.puts.append(len(items))
        super().put(items, version)

    def _check(self) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            assert self.error is not None
            raise self.error

    def connection(self, **options: Any) -> aio.Connection:
        """To this broker; it is the same after reconnecting."""
        return aio.Connection("memory://", transport=transport_over(lambda: self), **options)


async def received(consumer: aio.Consumer, count: int) -> list[Any]:
    """The payloads of so many messages, acknowledged."""
    payloads = []
    for _ in range(count):
        message = await consumer.get(timeout=PATIENCE)
        payloads.append(message.payload)
        await message.ack()
    return payloads
