"""Told of changes in the database: a thread asks for the next ones, and the server answers when there are any.

It lives as long as somebody waits now and then. Each question has a time limit of its own, since not every server
keeps the one that it is given.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpx

from kombu.exceptions import ConnectionError, KombuError
from kombu.transport.couchdb.documents import number_in
from kombu.transport.couchdb.http import Database

logger = logging.getLogger(__name__)

_QUESTION = 10.0
"""Seconds that one question lasts."""
_ENOUGH = 30.0
"""Seconds after the last wait that the thread goes on."""
_REMEMBERED = 4000
_TIMEOUTS = (httpx.ReadTimeout,)


class Changes:
    """``connect`` gives a database of the thread's own."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._told = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waited = 0.0
        self._wanted: frozenset[str] = frozenset()
        self._own: dict[str, None] = {}
        self._closed = False

    def tell(self) -> None:
        """From any thread: end the wait, or the next one."""
        self._told.set()

    def close(self) -> None:
        self._closed = True
        self.tell()

    def made(self, revisions: Sequence[str | None]) -> None:
        """Changes of our own, which are no news."""
        if len(self._own) > _REMEMBERED:
            self._own = {}
        self._own.update((revision, None) for revision in revisions if revision)

    def wait(self, numbers: Iterable[str], timeout: float) -> None:
        """Until there are changes in the queues of these numbers. Returns at once where nobody has listened yet."""
        self._waited = time.monotonic()
        wanted = frozenset(numbers)
        if not wanted <= self._wanted or self._begin():
            self._wanted |= wanted
            self._begin()
            self._told.wait(min(timeout, 0.0))
        else:
            self._told.wait(timeout)
        self._told.clear()

    def _begin(self) -> bool:
        """Whether it had to."""
        with self._lock:
            if self._closed or (self._thread is not None and self._thread.is_alive()):
                return False
            ready = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="kombu-changes", daemon=True)
            self._thread.start()
        ready.wait(_QUESTION)
        return True

    def _run(self, ready: threading.Event) -> None:
        database = self._connect()
        try:
            _, answer = database.ask("GET")
            since = answer["update_seq"]
            ready.set()
            while not self._closed and time.monotonic() - self._waited < _ENOUGH:
                since = self._next(database, since)
        except (KombuError, KeyError) as exc:
            logger.debug("no longer told of changes: %s", exc)  # who waits looks again anyway, and is told then
        finally:
            ready.set()
            database.close()
            self.tell()

    def _next(self, database: Database, since: object) -> object:
        params = {"feed": "longpoll", "since": str(since), "timeout": str(int(_QUESTION * 1000))}
        try:
            _, answer = database.ask("GET", "/_changes", params=params, timeout=_QUESTION + 1)
        except ConnectionError as exc:
            if isinstance(exc.__cause__, _TIMEOUTS):
                return since
            raise
        if any(self._is_news(each) for each in answer["results"]):
            self.tell()
        return answer["last_seq"]

    def _is_news(self, change: dict[str, Any]) -> bool:
        id = str(change["id"])
        if not id.startswith(("r:", "w:")) or change.get("deleted") or number_in(id) not in self._wanted:
            return False
        return any(each["rev"] not in self._own for each in change["changes"])
