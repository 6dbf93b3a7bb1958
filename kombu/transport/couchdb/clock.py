"""The server's clock, as far as it tells: each answer has the date in whole seconds.

Every answer bounds how far the server's clock can be ahead of ours: it said a second, and it said so between our
question and its answer. Together these bounds get narrow. As long as they allow it there is no difference, which is so
wherever machines keep the time (NTP); otherwise it is the smallest that they allow.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from math import inf

_SLACK = 0.5
"""Seconds that a server's date may be late: some write it down once a second, when they come to it."""


class ServerClock:
    """Times are microseconds since 1970. Ours is read from a clock that never steps."""

    def __init__(self) -> None:
        self._since_1970 = time.time() - time.monotonic()
        self._low, self._high = -inf, inf

    def now(self) -> int:
        return int((self.read() + self.ahead) * 1_000_000)

    def read(self) -> float:
        """This machine's time, in seconds."""
        return self._since_1970 + time.monotonic()

    @property
    def ahead(self) -> float:
        """Seconds that the server's clock is ahead of ours."""
        return min(max(0.0, self._low), self._high)

    def learn(self, date: str | None, asked: float, answered: float) -> None:
        """From an answer's header, and this machine's time at the question and at the answer."""
        try:
            second = parsedate_to_datetime(date or "").timestamp()
        except (TypeError, ValueError):
            return
        low, high = second - answered, second + 1 + _SLACK - asked
        self._low, self._high = max(self._low, low), min(self._high, high)
        if self._low > self._high:  # somebody has set a clock
            self._low, self._high = low, high
