"""A store that tells what is asked of it, for the tests of outcomes and leases, and connections to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Delivery, Envelope, Lease, Outcome, QueueSpec
from tests.memory import PATIENCE, Connect, transport_over

NEVER = 3600.0
ALWAYS = float("inf")
SHORT = 0.4
"""Seconds that a lease lasts where it is to end, or to be renewed, before our eyes."""


class Watched(MemoryStore):
    """Has the queue ``orders``; tells what is asked of it, in order, and can be made to fail."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.declare(QueueSpec(name="orders"))
        self.calls: list[str] = []
        self.written: list[Outcome] = []
        self.extended: list[int] = []
        self.failing: dict[str, float] = {}
        self._called = threading.Condition()

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        self._note("claim")
        return super().claim(wants, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        self._note("settle")
        answers = super().settle(outcomes)
        with self._called:
            self.written += outcomes
            self._called.notify_all()
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        self._note("extend")
        self.extended.append(len(leases))
        return super().extend(leases, seconds)

    def close(self) -> None:
        self._note("close")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when what was called or written makes the condition true."""
        with self._called:
            assert self._called.wait_for(condition, PATIENCE), f"after {PATIENCE} s only {self.calls}"

    def wait_for_more(self, call: str, times: int) -> None:
        wanted = self.calls.count(call) + times
        self.wait_until(lambda: self.calls.count(call) >= wanted)

    def _note(self, call: str) -> None:
        with self._called:
            self.calls.append(call)
            self._called.notify_all()
        if self.failing.get(call, 0) > 0:
            self.failing[call] -= 1
            raise OperationalError(f"{call} failed")


@pytest.fixture
def watched(name: str) -> Watched:
    return Watched(name)


@pytest.fixture
def connect_watched(watched: Watched, connect: Connect) -> Connect:
    """Each call opens a connection to the watched store."""
    transport = transport_over(lambda: watched)
    return lambda **options: connect(transport=transport, transport_options=options)


@pytest.fixture
def other(connect: Connect) -> Connection:
    """Another process, as far as the queues can tell."""
    return connect()


def publish_to(store: MemoryStore, count: int) -> None:
    store.put([("orders", Envelope(head="", body=b"")) for _ in range(count)])


def consume(connection: Connection, handle: Callable[[Message], object]) -> None:
    Queue("orders")(connection).consume(callback=handle)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
