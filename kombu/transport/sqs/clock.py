"""AWS's clock, as far as its answers tell it: messages carry AWS's time, and this machine's clock may be wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime


class ServerClock:
    """An answer says its time in whole seconds, and it was given between the question and its arrival. So the server is
    ahead by something between two bounds, which get closer with each answer. As long as they allow that both clocks
    agree, they do."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._least, self._most = float("-inf"), float("inf")

    def now(self) -> float:
        """Seconds since 1970."""
        ahead = min(max(0.0, self._least), self._most)
        return self._clock() + ahead

    def read(self) -> float:
        """This machine's time, for :meth:`heard`."""
        return self._clock()

    def heard(self, date: str | None, asked: float) -> None:
        """An answer to what was ``asked`` at that time has this ``Date`` header (RFC 9110, 6.6.1)."""
        try:
            said = parsedate_to_datetime(date or "").timestamp()
        except (TypeError, ValueError):
            return
        least, most = said - self._clock(), said + 1 - asked
        self._least, self._most = max(self._least, least), min(self._most, most)
        if self._least > self._most:  # one of the clocks was set
            self._least, self._most = least, most
