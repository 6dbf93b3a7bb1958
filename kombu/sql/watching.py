"""Being told by the operating system that a database's file is written: by inotify, on Linux."""

from __future__ import annotations

import select
import time
from contextlib import suppress
from pathlib import Path

from kombu.sql.alarm import Alarm

SOON = 0.0005
"""Seconds from a write until the first look whether it was committed; it doubles from look to look, up to LOOK."""

LIVELY = 0.1
"""Seconds after a write in which it is looked for: a commit is seen once the disk has it."""

SELDOM = 0.05
"""Seconds between looks while nothing is written, for file systems that do not tell of everything."""


class FileWatch:
    """Says when to look whether something was committed to a file of SQLite's. For one thread, but for :meth:`wake`."""

    def __init__(self, path: str, busy_pause: float) -> None:
        """Raises ImportError without ``inotify-simple``, and OSError where the system cannot watch, or no more."""
        from inotify_simple import INotify, flags

        self._busy_pause = busy_pause
        self._writes = INotify(nonblocking=True)
        try:
            self._writes.add_watch(path, flags.MODIFY)
            with suppress(FileNotFoundError):  # it keeps a rollback journal instead
                self._writes.add_watch(f"{path}-wal", flags.MODIFY)
            self._alarm = Alarm()
        except BaseException:
            self._writes.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._writes, select.POLLIN)
        self._poll.register(self._alarm, select.POLLIN)
        self._lively_until = 0.0
        self._next = SOON

    def pause(self, at_most: float) -> None:
        """Until the next look, ``at_most`` so many seconds."""
        if time.monotonic() < self._lively_until:
            time.sleep(min(at_most, self._next))
            self._next = min(self._next * 2, self._busy_pause)
            self._written()
        elif self._poll.poll(min(at_most, SELDOM) * 1000):
            self._next = SOON
            self._written()
            self._alarm.silence()

    def wake(self) -> None:
        """From any thread: end :meth:`pause`, or the next one at once."""
        self._alarm.ring()

    def close(self) -> None:
        self._writes.close()
        self._alarm.close()

    def _written(self) -> None:
        if any(self._writes.read(timeout=0)):
            self._lively_until = time.monotonic() + LIVELY


def watch(path: str, busy_pause: float) -> FileWatch | None:
    """None where the system does not tell, or there is no file."""
    if not Path(path).is_file():
        return None
    try:
        return FileWatch(path, busy_pause)
    except (ImportError, OSError):
        return None
