"""A token bucket: at most so many a second, with a burst of so many at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

__all__ = ["TokenBucket"]

T = TypeVar("T")


class TokenBucket(Generic[T]):
    """Holds up to ``capacity`` tokens, full at first, and gets ``fill_rate`` new ones a second.

    What has to wait for a token may be kept in it, in order: :meth:`add` and :meth:`pop`; ``contents`` is all that
    waits. ``clock`` tells seconds and never goes back. Safe to use from several threads. Raises ValueError for a
    negative rate and a capacity that holds no token.
    """

    def __init__(self, fill_rate: float, capacity: float = 1, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.fill_rate = float(fill_rate)
        self.capacity = float(capacity)
        if not self.fill_rate >= 0:
            raise ValueError(f"fill_rate={fill_rate}: tokens a second, not negative")
        if not self.capacity > 0:
            raise ValueError(f"capacity={capacity}: a bucket has to hold something")
        self.contents: deque[T] = deque()
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = self.capacity
        self._filled_at = clock()

    def can_consume(self, tokens: float = 1) -> bool:
        """Take that many tokens if they are there; the answer is whether they were."""
        with self._lock:
            there = tokens <= self._fill()
            if there:
                self._tokens -= tokens
            return there

    def expected_time(self, tokens: float = 1) -> float:
        """Seconds until that many tokens will be there; infinite for more than it ever holds."""
        with self._lock:
            missing = tokens - self._fill()
        if missing <= 0:
            return 0.0
        if tokens > self.capacity or not self.fill_rate:
            return inf
        return missing / self.fill_rate

    def add(self, item: T) -> None:
        """Keep something that waits for a token."""
        self.contents.append(item)

    def pop(self) -> T:
        """What has waited longest; raises IndexError where nothing waits."""
        return self.contents.popleft()

    def clear_pending(self) -> None:
        """Forget all that waits."""
        self.contents.clear()

    def _fill(self) -> float:
        now = self._clock()
        self._tokens = min(self.capacity, self._tokens + (now - self._filled_at) * self.fill_rate)
        self._filled_at = now
        return self._tokens
