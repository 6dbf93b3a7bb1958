"""LISTEN and NOTIFY: PostgreSQL tells who waits that something was stored.

A NOTIFY takes a lock of the whole database when its transaction commits, so that it is never part of one that writes:
it is sent by itself, afterwards, and at most once in ``EVERY`` seconds for a queue. Who was told a moment ago still
looks often enough to find what came since.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Collection, Hashable
from threading import Lock
from typing import Any
from weakref import WeakSet

from kombu.exceptions import KombuError
from kombu.sql.alarm import Alarm
from kombu.sql.waiting import POLL, Waiter
from kombu.transport.virtual.places import Places

logger = logging.getLogger(__name__)

LISTEN = "LISTEN kombu"
UNLISTEN = "UNLISTEN kombu"
NOTIFY = "SELECT pg_notify('kombu', queue) FROM json_array_elements_text(%s::json) AS queue"
"""Parameters: the queues' names as JSON, which can be sent as text."""

EVERY = 0.01
"""Seconds in which a queue is announced once by a process."""

_IDLE_POLL = 1.0
"""Seconds between two looks at the queues while nothing is announced: for an announcement that was lost."""

_MANY = 1000


class Announcer:
    """Announces that queues have something, rarely enough. ``send(queues)`` notifies; when it fails that is logged.
    ``place``: see :class:`kombu.transport.virtual.store.Shared`."""

    def __init__(self, name: str, send: Callable[[list[str]], object], place: Hashable | None) -> None:
        self._name = name
        self._send = send
        self._told = _TOLD.at(place)

    def announce(self, queues: Collection[str]) -> None:
        """Unless that was just done."""
        if wanted := self._told.wanted(queues):
            try:
                self._send(wanted)
            except KombuError as exc:
                logger.warning("%s: waiting consumers were not told of new messages: %s", self._name, exc)

    def wanted(self, queues: Collection[str]) -> list[str]:
        """Those that were not announced a moment ago, and now count as announced."""
        return self._told.wanted(queues)


class _Told:
    """What a process has announced at a place, and when."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._announced: dict[str, float] = {}

    def wanted(self, queues: Collection[str]) -> list[str]:
        now = time.monotonic()
        for queue in queues:
            if now - self._announced.get(queue, 0.0) > EVERY:
                return self._due(queues, now)
        return []

    def _due(self, queues: Collection[str], now: float) -> list[str]:
        with self._lock:
            if len(self._announced) > _MANY:
                self._announced.clear()
            wanted = [queue for queue in queues if now - self._announced.get(queue, 0.0) > EVERY]
            self._announced.update(dict.fromkeys(wanted, now))
        return wanted


_TOLD = Places(_Told)


class Listener(Waiter):
    """Waits at a connection of psycopg 3 that nobody else uses meanwhile.

    ``listening()`` gives the session's, once it has said LISTEN; None where that is no use, behind a connection
    pooler or in a transaction: then the queues are looked at every ``idle_poll`` seconds.
    """

    def __init__(self, listening: Callable[[], Any | None], idle_poll: float = POLL) -> None:
        super().__init__(idle_poll)
        self._polling = idle_poll
        self._listening = listening
        self._driver: Any | None = None
        self._queues: frozenset[bytes] = frozenset()
        self._hearing: WeakSet[Any] = WeakSet()
        self._heard = False
        self._alarm = Alarm()

    def mark(self, queues: Collection[str]) -> None:
        self._queues = frozenset(queue.encode() for queue in queues)
        self._heard = False
        self._driver = self._listening()
        if self._driver is not None and self._driver not in self._hearing:
            self._driver.add_notify_handler(self._hear)  # without one, psycopg keeps them all for ever
            self._hearing.add(self._driver)
        self.idle_poll = self._polling if self._driver is None else _IDLE_POLL
        self._announced()

    def wait(self, until: float) -> None:
        if self._heard:
            self.look_again_soon()
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._alarm, selectors.EVENT_READ)
            if self._driver is not None:
                selector.register(self._driver.pgconn.socket, selectors.EVENT_READ)
            while (remaining := until - time.monotonic()) > 0 and not self._woken.is_set():
                if selector.select(remaining) and self._announced():
                    self.look_again_soon()
                    return
        self._alarm.silence()

    def wake(self) -> None:
        super().wake()
        self._alarm.ring()

    def close(self) -> None:
        self._alarm.close()
        for driver in self._hearing:
            driver.remove_notify_handler(self._hear)
        self._hearing.clear()

    def _hear(self, notice: Any) -> None:
        """What has come together with the answer to a statement."""
        self._heard = self._heard or notice.payload.encode() in self._queues

    def _announced(self) -> bool:
        """Whether one of the queues was; what has come for others is forgotten. Raises the driver's error when the
        connection is lost."""
        found = False
        if self._driver is not None:
            self._driver.pgconn.consume_input()
            while (notice := self._driver.pgconn.notifies()) is not None:
                found = found or notice.extra in self._queues
        return found
