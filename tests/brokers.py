"""Transports that misbehave on purpose, and ones that remember what was done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar, TypeVar

from kombu.exceptions import ConnectionError, OperationalError
from kombu.transport.base import Address, Implements, Transport, TransportConnection
from kombu.transport.memory import Transport as Memory
from kombu.transport.virtual.connection import VirtualConnection
from tests.memory import PATIENCE

T = TypeVar("T")


class Unreachable(Transport):
    """Nobody ever answers."""

    def establish_connection(self) -> TransportConnection:
        raise OperationalError("nobody is there")


class Waking(Memory):
    """A broker that answers after so many attempts."""

    refusals: ClassVar[int] = 0
    attempts: ClassVar[int] = 0

    def establish_connection(self) -> VirtualConnection:
        type(self).attempts += 1
        if self.attempts <= self.refusals:
            raise OperationalError(f"attempt {self.attempts} failed")
        return super().establish_connection()


def waking(refusals: int) -> type[Waking]:
    return type("WakingHere", (Waking,), {"refusals": refusals})


class Deaf(Memory):
    """A broker that takes no notice until ``told``, as long as the client has patience."""

    told: ClassVar[threading.Event]
    asked: ClassVar[threading.Event]
    patience: ClassVar[list[float]]

    def establish_connection(self) -> VirtualConnection:
        self.patience.append(self.address.connect_timeout)
        self.asked.set()
        if not self.told.wait(self.address.connect_timeout):
            raise OperationalError(f"no answer within {self.address.connect_timeout} seconds")
        return super().establish_connection()


def deaf() -> type[Deaf]:
    return type("DeafHere", (Deaf,), {"told": threading.Event(), "asked": threading.Event(), "patience": []})


class DriverError(Exception):
    """What a driver raises by itself."""


class Raw(Memory):
    """A driver whose errors come through as they are, with the password in them."""

    connection_errors = (OperationalError, DriverError)

    def establish_connection(self) -> VirtualConnection:
        raise DriverError(f"cannot log in with {self.address.password}")


class RecordedChannel:
    """Does nothing but remember."""

    def __init__(self, connection: RecordedConnection) -> None:
        self.connection = connection
        self.is_open = True

    def close(self) -> None:
        self.connection.events.append("channel.close")
        self.is_open = False
        self.connection.fail("channel.close")


class RecordedConnection:
    """Does nothing but remember; ``cut`` is what happens to a connection that the broker drops."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.events: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.connected = True
        self.consuming = False

    def fail(self, verb: str) -> None:
        error = self.failing.pop(verb, None)
        if error is not None:
            raise error

    def cut(self) -> None:
        self.connected = False

    def channel(self) -> RecordedChannel:
        self.events.append("channel")
        self.fail("channel")
        return RecordedChannel(self)

    def drain_events(self, timeout: float | None = None) -> None:
        self.events.append(f"drain_events {timeout}")
        self.fail("drain_events")

    def interrupt(self) -> None:
        self.events.append("interrupt")

    def heartbeat_check(self, rate: int = 2) -> None:
        self.events.append(f"heartbeat_check {rate}")
        self.fail("heartbeat_check")

    def close(self) -> None:
        self.events.append("close")
        self.connected = False
        self.fail("close")


class Recording(Transport):
    """``made`` are the connections that it opened, all of them harmless."""

    driver_name = "recording"
    connection_errors = (OperationalError,)
    implements = Implements(heartbeats=True, exchange_type=frozenset({"direct"}))
    made: ClassVar[list[RecordedConnection]]

    def establish_connection(self) -> TransportConnection:
        connection = RecordedConnection(self.address)
        self.made.append(connection)
        return connection  # type: ignore[return-value]


def recording(**attributes: object) -> type[Recording]:
    return type("RecordingHere", (Recording,), {"made": [], **attributes})


def lost(*_: object, **__: object) -> None:
    raise ConnectionError("the broker hung up")


def within_patience(call: Callable[[], T]) -> T:
    """What ``call`` returns or raises; fails when it hangs."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as exc:  # noqa: BLE001 - raised in the caller
            errors.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if errors:
        raise errors[0]
    assert results, "it hangs"
    return results[0]
