"""Looking whether something is ready, again and again, until somebody says stop.

A reservation that waits would be told at once. But the server would give the next job to whoever waits, a consumer
that is gone for good without a goodbye among them; and beanstalkd 1.12 forgets at times that a job's time to run is
over as long as the connection that holds it is open and says nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SHORTEST = 0.004
_LONGEST = 0.04
"""Seconds between two looks: the longer nothing comes, the longer the pause."""


class Poll:
    """``stop`` may be called from any thread."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._pause = _SHORTEST

    def stop(self) -> None:
        """Let the wait return now, or the next one at once."""
        self._stopped.set()

    def until(self, look: Callable[[], bool], timeout: float) -> None:
        """Return when ``look`` finds something, or after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not self._stopped.is_set():
            if look():
                self._pause = _SHORTEST
                break
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self._stopped.wait(min(self._pause, remaining))
            self._pause = min(self._pause * 1.5, _LONGEST)
        self._stopped.clear()
