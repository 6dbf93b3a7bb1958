"""Waking up: on SQLite a look at ``PRAGMA data_version``, elsewhere a poll that slows down while nothing comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_LOOK = 0.006
"""Seconds between looks at SQLite's data_version: half of it is the usual delay of a message, and an idle consumer
uses about two hundredths of a processor."""
_SHORTEST_POLL = 0.005
_LONGEST_POLL = 0.25


def wait(connection: BaseDatabaseWrapper, next_due: Callable[[], float | None], timeout: float, woken: Event) -> None:
    """Return when something is due, at once when ``woken`` is set, at the latest after ``timeout`` seconds.

    ``next_due()`` asks the database for the seconds until something may be claimed, None when there is nothing.
    """
    deadline = time.monotonic() + timeout
    poll = _SHORTEST_POLL
    while True:
        seen = data_version(connection)
        due = next_due()
        if due is not None and due <= 0:
            return
        until = min(deadline, time.monotonic() + (timeout if due is None else due))
        if seen is None:
            until = min(until, time.monotonic() + poll)
            poll = min(poll * 1.5, _LONGEST_POLL)
        _sleep(connection, seen, until, woken)
        if woken.is_set() or time.monotonic() >= deadline:
            woken.clear()
            return


def data_version(connection: BaseDatabaseWrapper) -> int | None:
    """SQLite's count of what other connections committed (https://www.sqlite.org/pragma.html#pragma_data_version).

    None on other databases.
    """
    if connection.vendor != "sqlite":
        return None
    connection.ensure_connection()
    driver: Any = connection.connection
    return int(driver.execute("PRAGMA data_version").fetchone()[0])


def _sleep(connection: BaseDatabaseWrapper, seen: int | None, until: float, woken: Event) -> None:
    """Until the time has come, or another connection has committed something."""
    while (remaining := until - time.monotonic()) > 0:
        if woken.wait(remaining if seen is None else min(remaining, _LOOK)):
            return
        if seen is not None and data_version(connection) != seen:
            return
