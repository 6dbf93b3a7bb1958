"""How a thread that waits for messages is told that others have committed something."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection
from threading import Event

from kombu.sql.watching import FileWatch, watch

LOOK = 0.005
"""Seconds between looks at SQLite's data_version where nobody tells, or while something is committed all the time."""

POLL = 0.04
"""Seconds between two looks at idle queues where nobody tells: half of it is the usual delay of a message, and a look
after a pause takes the client half a millisecond."""

SHORTEST_POLL = 0.005
"""Seconds after which the queues are looked at again when they were busy just before."""


class Waiter:
    """Knows nothing of others' commits: the queues are looked at every ``idle_poll`` seconds, and more often after
    something came: ``poll`` is how long it waits the next time. To be used by one thread, but for :meth:`wake`.
    """

    def __init__(self, idle_poll: float) -> None:
        self.idle_poll = idle_poll
        self.poll = SHORTEST_POLL
        self._woken = Event()

    def mark(self, queues: Collection[str]) -> None:
        """What is committed to these queues from now on ends :meth:`wait`."""

    def wait(self, until: float) -> None:
        """Until ``until`` by ``time.monotonic``; earlier when something was committed, or :meth:`wake` was called."""
        self._woken.wait(max(until - time.monotonic(), 0))

    def wake(self) -> None:
        """From any thread: end :meth:`wait`, or the next one at once."""
        self._woken.set()

    def look_again_soon(self) -> None:
        """Something came, if perhaps to others: what follows at once need not be told."""
        self.poll = SHORTEST_POLL

    def woken(self) -> bool:
        """Whether :meth:`wake` was called since this was asked."""
        if self._woken.is_set():
            self._woken.clear()
            return True
        return False

    def close(self) -> None:
        """No more waiting."""


class DataVersion(Waiter):
    """SQLite's count of what other connections committed (https://www.sqlite.org/pragma.html#pragma_data_version).

    It is looked at when the file was written, where the system tells of that, and every LOOK seconds elsewhere.
    """

    def __init__(self, driver: Callable[[], sqlite3.Connection], idle_poll: float = 5.0) -> None:
        super().__init__(idle_poll)
        self._driver = driver
        self._seen = 0
        self._watches = False
        self._file: FileWatch | None = None

    def mark(self, queues: Collection[str]) -> None:
        self._execute = self._driver().execute
        if not self._watches:
            self._watches = True
            self._file = watch(self._path(), LOOK)
        self._seen = self._version()

    def wait(self, until: float) -> None:
        while (remaining := until - time.monotonic()) > 0 and not self._woken.is_set():
            if self._file is not None:
                self._file.pause(remaining)
            else:
                time.sleep(min(remaining, LOOK))
            if self._version() != self._seen:
                return

    def wake(self) -> None:
        super().wake()
        if (file := self._file) is not None:
            file.wake()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _version(self) -> int:
        return int(self._execute("PRAGMA data_version").fetchone()[0])

    def _path(self) -> str:
        """Of the file; empty for a database in memory."""
        rows = self._execute("PRAGMA database_list").fetchall()
        return next((str(path or "") for _, name, path in rows if name == "main"), "")


def wait(waiter: Waiter, queues: Collection[str], due_in: Callable[[], float | None], timeout: float) -> None:
    """Return when something is due, at once when the waiter was woken, at the latest after ``timeout`` seconds.

    ``due_in()`` asks the database for the seconds until something may be claimed, None when there is nothing.
    """
    deadline = time.monotonic() + timeout
    while True:
        waiter.mark(queues)
        due = due_in()
        if due is not None and due <= 0:
            waiter.look_again_soon()
            return
        now = time.monotonic()
        waiter.wait(min(deadline, now + waiter.poll, now + (timeout if due is None else due)))
        waiter.poll = min(waiter.poll * 1.5, waiter.idle_poll)
        if waiter.woken() or time.monotonic() >= deadline:
            return
