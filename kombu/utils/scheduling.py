"""Whose turn it is: cycles over queues and other resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, cast

from kombu.utils.imports import symbol_by_name

__all__ = ["FairCycle", "cycle_by_name", "priority_cycle", "round_robin_cycle", "sorted_cycle"]

R = TypeVar("R")
T = TypeVar("T")


class FairCycle(Generic[R, T]):
    """Asks each of ``resources`` in turn, beginning after the one that answered last.

    ``fun(resource, …)`` answers, or raises one of ``predicate`` where that resource has nothing.
    """

    def __init__(
        self,
        fun: Callable[..., T],
        resources: Iterable[R],
        predicate: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> None:
        self.fun = fun
        self.resources = list(resources)
        self.predicate = predicate
        self._position = 0

    def __repr__(self) -> str:
        return f"<FairCycle {self._position}/{len(self.resources)} {self.resources}>"

    def get(self, *args: Any, **kwargs: Any) -> T:
        """The first answer; where no resource has one, the error of the last that was asked."""
        empty: Exception | None = None
        for _ in self.resources:
            try:
                return self.fun(self._next(), *args, **kwargs)
            except self.predicate as exc:
                empty = exc
        raise empty or self._nothing()

    def close(self) -> None:
        """Nothing to let go of."""

    def _next(self) -> R:
        resource = self.resources[self._position % len(self.resources)]
        self._position = (self._position + 1) % len(self.resources)
        return resource

    def _nothing(self) -> Exception:
        kind = self.predicate[0] if isinstance(self.predicate, tuple) else self.predicate
        return kind("no resources to ask")


class round_robin_cycle(Generic[T]):
    """Who was used goes to the end of the line."""

    def __init__(self, it: Iterable[T] | None = None) -> None:
        self.items = list(it or ())

    def update(self, it: Iterable[T]) -> None:
        """Begin anew with other items."""
        self.items[:] = it

    def consume(self, n: int) -> list[T]:
        """The first ``n`` in line."""
        return self.items[:n]

    def rotate(self, last_used: T) -> T:
        """Send an item to the end of the line; one that is not in it changes nothing."""
        if last_used in self.items:
            self.items.remove(last_used)
            self.items.append(last_used)
        return last_used


class priority_cycle(round_robin_cycle[T]):
    """The line stays as it was given: the first goes always first."""

    def rotate(self, last_used: T) -> T:
        """Changes nothing."""
        return last_used


class sorted_cycle(priority_cycle[T]):
    """The first by their own order go first."""

    def consume(self, n: int) -> list[T]:
        """The ``n`` smallest, in order; raises TypeError for items that have none."""
        return sorted(cast(list[Any], self.items))[:n]


CYCLE_ALIASES = {"round_robin": round_robin_cycle, "priority": priority_cycle, "sorted": sorted_cycle}


def cycle_by_name(name: str | type[round_robin_cycle[Any]]) -> type[round_robin_cycle[Any]]:
    """``"round_robin"``, ``"priority"``, ``"sorted"``, or where a class of one's own is: ``"module:name"``."""
    found: type[round_robin_cycle[Any]] = symbol_by_name(name, CYCLE_ALIASES)
    return found
