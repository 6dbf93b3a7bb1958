"""Until when a caller wants to wait, for whatever can be given a limit for each answer.

``publish(timeout=…)`` and ``drain_events(timeout=…)`` set it, and so does connecting. What the keeper does in its
thread has the usual limit.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar, Token
from math import inf

from kombu.exceptions import OperationalError

LEAST = 0.1
"""Seconds for an answer, however close the caller's deadline is."""

_until: ContextVar[float] = ContextVar("kombu_deadline", default=inf)


class Deadline:
    """To be used in a ``with`` block that shall have ended ``seconds`` from now, and no later than one around it; None:
    whenever."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._token: Token[float] | None = None

    def __enter__(self) -> None:
        if self._seconds is not None:
            self._token = _until.set(min(time.monotonic() + self._seconds, _until.get()))

    def __exit__(self, *exc: object) -> None:
        if self._token is not None:
            _until.reset(self._token)


def seconds_to_wait(most: float) -> float:
    """For the next answer: ``most``, or less where the caller's deadline comes sooner."""
    until = _until.get()
    return most if until == inf else max(min(most, until - time.monotonic()), LEAST)


class Turns:
    """A lock for threads that ask one after the other, which the same thread may take again.

    Raises :class:`~kombu.exceptions.OperationalError` where the caller's deadline comes before its turn.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        seconds = seconds_to_wait(inf)
        if not self._lock.acquire(timeout=-1 if seconds == inf else seconds):
            raise OperationalError("another thread waited for the server all the time: nothing was asked")

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
