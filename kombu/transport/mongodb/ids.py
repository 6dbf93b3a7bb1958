"""Ids of messages: text that sorts in the order in which a process stored them."""

from __future__ import annotations

import os
import secrets
import threading
import time

_RANDOM_BITS = 80


class Ids:
    """128 bits in hexadecimal: the milliseconds of the client's clock, and what makes them its own.

    Within one millisecond, and when the clock goes back, the next is the last one and one more. Only the
    order of messages that were stored in the same millisecond leans on them: times are the server's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._process = os.getpid()

    def take(self, count: int) -> list[str]:
        """So many new ones, in order."""
        with self._lock:
            if self._process != os.getpid():  # a forked child would go on with those of its parent
                self._process, self._last = os.getpid(), 0
            now = time.time_ns() // 1_000_000
            if now > self._last >> _RANDOM_BITS:
                self._last = (now << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS - 1)
            first = self._last + 1
            self._last += count
        return [f"{number:032x}" for number in range(first, first + count)]
