"""Taking turns for SQLite's one write lock.

SQLite lets those who wait for the lock sleep, longer each time, and gives it to whoever asks while it is free. A
consumer with a full queue asks again at once, so it would keep the lock nearly all the time, and programs that want
to publish would wait for it. A consumer that had to wait itself therefore lets others go first, once. What all do
together does not get slower: there is never more than one writer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

_CROWDED = 0.001
"""Seconds of waiting for the lock that tell of others who want it."""
_COURTESY = 0.003
"""Seconds to stand back then."""


class Turns:
    """The transactions of one consumer process on one database."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._crowded = False

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """``transaction.atomic``, after standing back when it is crowded."""
        if self._crowded:
            time.sleep(_COURTESY)
        asked = time.monotonic()
        with transaction.atomic(using=self._database):
            waited = time.monotonic() - asked
            self._crowded = waited > _CROWDED and connections[self._database].vendor == "sqlite"
            yield
