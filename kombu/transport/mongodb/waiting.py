"""How a consumer that waits is told: by a change stream where the server has such, with looks at the queues beneath."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Set
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from kombu.transport.mongodb.documents import Document

logger = logging.getLogger(__name__)

SHORTEST_POLL = 0.005
"""Seconds until the queues are looked at again when they were busy just before."""
POLL = 0.1
"""Seconds between two looks at idle queues where nobody tells: half of it is the usual delay of a message."""
POLL_BESIDE_A_STREAM = 1.0

_AWAIT = 0.5
"""Seconds that the server keeps a request for changes open; after them the stream sees that it has been closed."""
_RETRY = 5.0
"""Seconds until a stream that broke is opened again."""
_NOT_HERE = {40573, 115, 59, 13, 9, 40324}
"""No replica set, not supported, no such command, not allowed, and what servers say that do not know the stage."""


class Bell:
    """``wake`` is for the one call of ``wait`` that is under way, or the next one; ``tell`` for what is waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._woken = False
        self._told = False

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def tell(self) -> None:
        with self._changed:
            self._told = True
            self._changed.notify_all()

    def mark(self) -> None:
        """What is told from now on counts."""
        with self._changed:
            self._told = False

    def rings(self, seconds: float) -> bool:
        """Whether it rang within so many seconds; whoever was woken was it once."""
        with self._changed:
            rang = self._changed.wait_for(lambda: self._woken or self._told, max(seconds, 0.0))
            self._woken = False
            return rang


class Poll:
    """How long to wait until the next look: longer each time, and short again when something came."""

    def __init__(self) -> None:
        self._seconds = SHORTEST_POLL

    def wait(self, bell: Bell, due_in: Callable[[], float | None], watched: Callable[[], bool], timeout: float) -> None:
        """Until something is due, the bell rings, or ``timeout`` seconds are over.

        ``due_in`` asks the server for the seconds until something may be claimed; ``watched`` whether changes ring.
        """
        deadline = time.monotonic() + timeout
        while True:
            bell.mark()
            longest = POLL_BESIDE_A_STREAM if watched() else POLL
            due = due_in()
            if due is not None and due <= 0:
                self._seconds = SHORTEST_POLL
                return
            left = deadline - time.monotonic()
            self._seconds = min(self._seconds, longest)
            if bell.rings(min(left, self._seconds, left if due is None else due)) or time.monotonic() >= deadline:
                return
            self._seconds = min(self._seconds * 1.5, longest)


class Watch:
    """A thread that follows the collection's changes, from the first time that somebody waits until :meth:`stop`."""

    def __init__(self, collection: Collection[Document], bell: Bell, place: str, timeout: float) -> None:
        self._collection = collection
        self._bell = bell
        self._place = place
        self._await = int(1000 * min(_AWAIT, timeout / 2))
        self._wanted: frozenset[int] = frozenset()
        self._covered: frozenset[int] = frozenset()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._told_why = False

    def covers(self, queues: Set[int]) -> bool:
        """Whether the bell rings for these; if it does not yet, it will soon."""
        if not self._covered.issuperset(queues):
            if not self._wanted.issuperset(queues):
                self._wanted = frozenset(queues)
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="kombu-mongodb-watch", daemon=True)
                self._thread.start()
        return self._covered.issuperset(queues)

    def stop(self) -> None:
        """The thread ends soon after."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow(self._wanted)
            except PyMongoError as exc:
                self._covered = frozenset()
                if self._stopped.is_set() or not self._goes_on_after(exc):
                    return
                self._stopped.wait(_RETRY)

    def _follow(self, queues: frozenset[int]) -> None:
        """Until other queues are wanted. Once it is open the queues are looked at again: something came before."""
        with self._collection.watch(_changes_of(queues), max_await_time_ms=self._await) as stream:
            self._covered = queues
            self._bell.tell()
            while stream.alive and self._wanted is queues and not self._stopped.is_set():
                if stream.try_next() is not None:
                    self._bell.tell()
            ended = not stream.alive
        self._covered = frozenset()
        if ended:  # with its collection
            self._stopped.wait(_RETRY)

    def _goes_on_after(self, exc: PyMongoError) -> bool:
        """Said once: without a stream a consumer polls, and nothing else is different."""
        never = isinstance(exc, OperationFailure) and exc.code in _NOT_HERE
        if not self._told_why:
            self._told_why = True
            logger.warning(
                "%s: no change stream (%s), consumers look at their queues every %s s%s",
                self._place,
                " ".join(str(exc).split())[:200],
                POLL,
                "" if never else f", and a stream is tried again every {_RETRY:g} s",
            )
        return not never


def _changes_of(queues: Set[int]) -> list[dict[str, Any]]:
    """New messages of these queues, and whatever is released; neither with its contents."""
    new = {"operationType": "insert", "fullDocument.queue": {"$in": list(queues)}}
    released = {"operationType": "update", "updateDescription.removedFields": "token"}
    return [{"$match": {"$or": [new, released]}}, {"$project": {"_id": 1, "operationType": 1}}]
