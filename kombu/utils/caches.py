"""What was needed last is kept, the rest is forgotten."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, ItemsView, Iterator, MutableMapping, ValuesView
from types import MethodType
from typing import Any, Generic, TypeVar

__all__ = ["LRUCache", "Memoized", "memoize"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class LRUCache(MutableMapping[K, V], Generic[K, V]):
    """A dictionary of ``limit`` keys at most (None: any number): a new one pushes out what was not used longest.

    Reading and writing a key use it; iterating does not. What is iterated over is the state at that moment, so
    another thread may write meanwhile. Raises ValueError for a limit below 1.
    """

    def __init__(self, limit: int | None = None) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: a cache has to hold something; None means any number")
        self.limit = limit
        self.mutex = threading.RLock()
        self._data: OrderedDict[K, V] = OrderedDict()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())})"

    def __getitem__(self, key: K) -> V:
        with self.mutex:
            value = self._data[key]
            self._data.move_to_end(key)
            return value

    def __setitem__(self, key: K, value: V) -> None:
        with self.mutex:
            self._data[key] = value
            self._data.move_to_end(key)
            if self.limit is not None and len(self._data) > self.limit:
                self._data.popitem(last=False)

    def __delitem__(self, key: K) -> None:
        with self.mutex:
            del self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[K]:
        return iter(self._snapshot())

    def items(self) -> ItemsView[K, V]:
        return self._snapshot().items()

    def values(self) -> ValuesView[V]:
        return self._snapshot().values()

    def popitem(self, last: bool = True) -> tuple[K, V]:
        """Remove and answer what was used last, or first; raises KeyError where there is nothing."""
        with self.mutex:
            return self._data.popitem(last)

    def incr(self, key: K, delta: int = 1) -> int:
        """Add to a number that is kept, in one step; answers the sum. Raises KeyError, and ValueError for no number."""
        with self.mutex:
            total: Any = int(self[key]) + delta  # type: ignore[call-overload]
            self[key] = total
            return int(total)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "_data": OrderedDict(self._snapshot())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, mutex=threading.RLock())

    def _snapshot(self) -> dict[K, V]:
        with self.mutex:
            return dict(self._data)


class Memoized(Generic[T]):
    """A function, or a method, whose answers are kept by its arguments; made by :func:`memoize`.

    ``hits`` and ``misses`` count the calls; ``original_func`` is the function itself.
    """

    def __init__(
        self,
        func: Callable[..., T],
        cache: MutableMapping[Hashable, T],
        keyfun: Callable[[tuple[Any, ...], dict[str, Any]], Hashable],
    ) -> None:
        functools.update_wrapper(self, func)
        self.original_func = func
        self.hits = self.misses = 0
        self._cache = cache
        self._keyfun = keyfun

    def __call__(self, *args: Any, **kwargs: Any) -> T:
        key = self._keyfun(args, kwargs)
        try:
            value = self._cache[key]
        except KeyError:
            self.misses += 1
        else:
            self.hits += 1
            return value
        value = self._cache[key] = self.original_func(*args, **kwargs)
        return value

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def clear(self) -> None:
        """Forget all answers."""
        self._cache.clear()
        self.hits = self.misses = 0


def memoize(
    maxsize: int | None = None,
    keyfun: Callable[[tuple[Any, ...], dict[str, Any]], Hashable] | None = None,
    Cache: Callable[[int | None], MutableMapping[Hashable, Any]] = LRUCache,
) -> Callable[[Callable[..., T]], Memoized[T]]:
    """Keep the last ``maxsize`` answers of a function (None: all): ``@memoize()``.

    ``keyfun(args, kwargs)`` says which calls are the same; without it those with equal arguments are, and all
    arguments have to be hashable.
    """

    def memoized(func: Callable[..., T]) -> Memoized[T]:
        return Memoized(func, Cache(maxsize), keyfun or _equal_arguments)

    return memoized


def _equal_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    return args, frozenset(kwargs.items())
