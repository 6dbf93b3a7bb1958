"""What tests say of connections that are to act like processes of their own: they look, wait, race and die."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import TypeVar

from kombu import Connection
from kombu.exceptions import NotFound
from kombu.testing import in_threads
from kombu.transport import virtual
from tests.memory import PATIENCE

T = TypeVar("T")

SHORT = 0.4
"""Seconds that the lease of a process lasts that is going to die."""
ORDERS = "orders"


def engine_of(connection: Connection) -> virtual.VirtualConnection:
    channel = connection.channel()
    assert isinstance(channel, virtual.Channel)
    return channel.connection


def die(connection: Connection) -> None:
    """As a process that is killed or stopped: nothing is renewed any more, and nothing is said."""
    engine_of(connection).ledger._keeper.stop()


def exists(connection: Connection, queue: str = ORDERS) -> bool:
    try:
        consumers(connection, queue)
    except NotFound:
        return False
    return True


def consumers(connection: Connection, queue: str = ORDERS) -> int:
    with closing(connection.channel()) as channel:
        return channel.queue_declare(queue, passive=True).consumer_count


def wait_until(look: Callable[[], object], draining: Connection | None = None) -> None:
    """Look again and again, while ``draining`` handles what comes."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, f"nothing came of it in {PATIENCE} s"
        if draining is None:
            time.sleep(0.01)
        else:
            with suppress(TimeoutError):
                draining.drain_events(timeout=0.05)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Each in a thread of its own, which leaves no connection of Django's behind."""
    return in_threads([partial(_then_disconnect, call) for call in calls], PATIENCE)


def _then_disconnect(call: Callable[[], T]) -> T:
    from django.db import connections

    try:
        return call()
    finally:
        connections.close_all()
