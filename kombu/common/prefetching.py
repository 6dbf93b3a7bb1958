"""A prefetch count that threads change and the channel's own thread makes known."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["PREFETCH_COUNT_MAX", "QoS"]

logger = logging.getLogger(__name__)

PREFETCH_COUNT_MAX = 0xFFFF
"""The largest prefetch count there is: a short integer (AMQP 0-9-1, basic.qos)."""


class QoS:
    """A prefetch count that any thread changes and one thread, the channel's own, makes known to the broker.

    ``callback(prefetch_count=…)`` is what tells the broker, such as ``partial(consumer.qos, apply_global=True)``; a
    count without ``apply_global`` is for consumers that begin later
    (https://www.rabbitmq.com/docs/consumer-prefetch). ``value`` is the count that is wanted, ``prev`` the one last
    made known; 0 means no limit, and stays so. ``max_prefetch`` is the most that increments lead to.
    """

    prev: int | None = None

    def __init__(self, callback: Callable[..., object], initial_value: int, max_prefetch: int | None = None) -> None:
        self.callback = callback
        self.value = initial_value or 0
        self.max_prefetch = max_prefetch
        self._changing = threading.RLock()

    def increment_eventually(self, n: int = 1) -> int:
        """Want ``n`` more; the broker hears of it with the next :meth:`update`. Answers the new count."""
        with self._changing:
            if self.value:
                self.value += max(n, 0)
                if self.max_prefetch is not None:
                    self.value = min(self.value, self.max_prefetch)
            return self.value

    def decrement_eventually(self, n: int = 1) -> int:
        """Want ``n`` fewer, but 1 at least; the broker hears of it with the next :meth:`update`."""
        with self._changing:
            if self.value:
                self.value = max(self.value - n, 1)
            return self.value

    def set(self, pcount: int) -> int:
        """Tell the broker this count now, unless it is the one that it knows; one that is too large means no limit."""
        with self._changing:
            if pcount != self.prev:
                if pcount > PREFETCH_COUNT_MAX:
                    logger.warning("prefetch count %d is above %d: set to no limit", pcount, PREFETCH_COUNT_MAX)
                self.callback(prefetch_count=pcount if pcount <= PREFETCH_COUNT_MAX else 0)
                self.prev = pcount
            return pcount

    def update(self) -> int:
        """Tell the broker the count that is wanted by now."""
        with self._changing:
            return self.set(self.value)
