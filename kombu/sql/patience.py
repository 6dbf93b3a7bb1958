"""A limit to how long a server may say nothing, for drivers that have none: who waits too long is disconnected.

Where a firewall has forgotten a connection, or a server hangs, nobody says that it is lost, and a driver would wait for
its answer for ever. Here one thread of the process looks after everybody who waits, and shuts the socket under whoever
has waited too long: the driver then finds that the server has hung up.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from os import dup
from typing import Any

from kombu.exceptions import InvalidURL
from kombu.sql.liveness import socket_of
from kombu.utils.compat import register_after_fork

_STEPS = 10
"""How many times within the shortest limit it is looked who waits: what a limit may be exceeded by."""


logger = logging.getLogger(__name__)

ANSWER_TIMEOUT = 30.0
"""Seconds, unless the transport option ``answer_timeout`` says otherwise."""


def read_answer_timeout(options: Mapping[str, object]) -> float:
    """Of a transport's options; raises :class:`InvalidURL` for what is no number of seconds."""
    given = options.get("answer_timeout", ANSWER_TIMEOUT)
    with suppress(ValueError):
        if 0 < (seconds := float(str(given))) < inf:
            return seconds
    raise InvalidURL(f"transport option answer_timeout={given!r} must be a number of seconds above 0")


class Watch:
    """To be used in a ``with`` block that waits for answers at ``driver``, None for nothing yet, for ``limit`` seconds.

    ``over``: the block has waited longer, and is disconnected.
    """

    __slots__ = ("_dog", "_socket", "driver", "limit", "over", "until")

    def __init__(self, driver: Any, limit: float, dog: Watchdog | None = None) -> None:
        self.driver = driver
        self.limit = limit
        self.until = inf
        self.over = False
        self._dog = dog or WATCHDOG
        self._socket: int | None = None

    def __enter__(self) -> Watch:
        if self.driver is not None:
            self.begin(self.driver)
        return self

    def begin(self, driver: Any) -> None:
        """Wait at this one."""
        self.driver = driver
        self.until = time.monotonic() + self.limit
        if not hasattr(driver, "pgconn") and hasattr(driver, "fileno"):
            self._socket = socket_of(driver)  # mysqlclient answers nobody while it waits
        dog = self._dog
        dog.watches.add(self)
        dog.used = True
        if dog.sleeps or self.limit < dog.shortest:
            dog.wake_up(self.limit)

    def __exit__(self, *exc: object) -> None:
        """Waits while the watch is being ended, so that its driver closes nothing meanwhile."""
        if self.until == inf:
            return
        try:
            self._dog.watches.remove(self)
        except KeyError:
            with self._dog.ending:
                return

    def disconnect(self) -> None:
        self.over = True
        number = socket_of(self.driver) if self._socket is None else self._socket
        if number is None or number < 0:
            return
        with suppress(OSError), socket.socket(fileno=dup(number)) as shared:  # it may have ended at this moment
            shared.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The thread, which begins with the first watch and sleeps once there has been none from one look to the next: to
    be woken for each would cost more than all else here.

    A watch is added to ``watches`` and taken out again without a lock: each is one step of the set's, and whoever takes
    it out, its block or the thread, is the only one that does. ``used`` says that one was added since the last look.
    ``ending`` is held while some are disconnected.
    """

    watches: set[Watch]
    used: bool
    sleeps: bool
    shortest: float
    ending: threading.Lock
    _thread: threading.Thread | None

    def __init__(self) -> None:
        self._begin()
        register_after_fork(self, Watchdog._begin)

    def wake_up(self, limit: float) -> None:
        """For a watch of so many seconds."""
        with self.ending:
            self.sleeps = False
            self.shortest = min(limit, self.shortest)
            self._called.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kombu-patience", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._called.wait(None if self.sleeps else self.shortest / _STEPS)
            self._called.clear()
            with self.ending:
                self._look()

    def _look(self) -> None:
        now = time.monotonic()
        for watch in [watch for watch in self.watches.copy() if watch.until < now]:
            try:
                self.watches.remove(watch)
            except KeyError:
                continue  # its block has just ended
            try:
                watch.disconnect()
            except Exception:
                logger.exception("a connection cannot be given up, though its server says nothing")
        self.sleeps = True  # and then look: whoever adds one from now on wakes this thread
        if self.watches or self.used:
            self.sleeps = self.used = False

    def _begin(self) -> None:
        """A forked child has none of these threads."""
        self.watches = set()
        self.used, self.sleeps, self.shortest = False, True, inf
        self.ending = threading.Lock()
        self._called = threading.Event()
        self._thread = None


WATCHDOG = Watchdog()
"""The process's."""
