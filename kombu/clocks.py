"""Order without a common clock: Lamport's logical clock, and events that are sorted by it.

By L. Lamport: Time, clocks, and the ordering of events in a distributed system. CACM 21 (7), 1978.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any, NamedTuple, TypeVar

__all__ = ["LamportClock", "timetuple"]

E = TypeVar("E", bound=Sequence[Any])


class LamportClock:
    """A counter that what happens here, and what is heard of, moves forward; safe to use from several threads.

    Send :meth:`forward` with each message, and :meth:`adjust` to what a message that arrives carries: a message then
    has a smaller number than whatever it led to. Which of two equal numbers is first, the nodes' names decide.
    """

    def __init__(
        self, initial_value: int = 0, Lock: Callable[[], AbstractContextManager[Any]] = threading.Lock
    ) -> None:
        self.value = initial_value
        self.mutex = Lock()

    def __repr__(self) -> str:
        return f"<LamportClock: {self.value}>"

    def __str__(self) -> str:
        return str(self.value)

    def adjust(self, other: int) -> int:
        """Go past this number, which came from another node; answers the new value."""
        with self.mutex:
            self.value = max(self.value, other) + 1
            return self.value

    def forward(self) -> int:
        """Something happens here; answers the new value."""
        with self.mutex:
            self.value += 1
            return self.value

    def sort_heap(self, h: Sequence[E]) -> E:
        """The first of events that are sorted by clock: ``(clock, node, …)``; of the same clock, the least node's.

        Raises IndexError where there is none.
        """
        first = h[0]
        return min(takewhile(lambda event: event[0] == first[0], h), key=lambda event: event[1])


class timetuple(NamedTuple):
    """When something happened, sorted by logical clock and then by node.

    ``clock`` is the node's logical clock, ``timestamp`` seconds since 1970 by its wall clock, which decides where
    one of two events has no logical clock. ``id`` names the node; ``obj`` is whatever happened, and is not compared.
    """

    clock: int | None
    timestamp: float
    id: str
    obj: Any = None

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        mine, theirs = _order(self, other)
        return mine < theirs

    def __le__(self, other: tuple[Any, ...]) -> bool:
        mine, theirs = _order(self, other)
        return mine <= theirs

    def __gt__(self, other: tuple[Any, ...]) -> bool:
        mine, theirs = _order(self, other)
        return mine > theirs

    def __ge__(self, other: tuple[Any, ...]) -> bool:
        mine, theirs = _order(self, other)
        return mine >= theirs


def _order(mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """What to compare of each: clock and node, or the timestamp where there are no two clocks."""
    if mine[0] and theirs[0]:
        return (mine[0], mine[2]), (theirs[0], theirs[2])
    return (mine[1],), (theirs[1],)
