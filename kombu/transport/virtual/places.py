"""What connections of a process have in common that lead to the same place: see :class:`.store.Shared`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from kombu.utils.compat import register_after_fork

T = TypeVar("T")


class Places(Generic[T]):
    """One of ``make`` for each place, as long as somebody has it. A forked child has none of its parent's."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._begin()
        register_after_fork(self, Places._begin)

    def at(self, place: Hashable | None) -> T:
        """A new one for None."""
        if place is None:
            return self._make()
        with self._lock:
            found = self._made.get(place)
            if found is None:
                found = self._made[place] = self._make()
            return found

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
