"""Brokers that stand in for each other: in which order they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle

from kombu.utils.functional import shufflecycle

__all__ = ["STRATEGIES", "Rota", "Strategy"]

Strategy = Callable[[list[str]], Iterable[str]]
"""Given the URLs, says in which order they are tried; begins anew when it ends."""

STRATEGIES: Mapping[str, Strategy] = {"round-robin": cycle, "shuffle": shufflecycle}


class Rota:
    """The URLs of brokers that stand in for each other, and the one whose turn it is.

    The strategy's first is used first. Raises ValueError for the name of a strategy that there is not.
    """

    def __init__(self, urls: Sequence[str], strategy: str | Strategy) -> None:
        if isinstance(strategy, str) and strategy not in STRATEGIES:
            raise ValueError(f"no failover strategy {strategy!r}: there are {', '.join(STRATEGIES)}, or any function")
        self.urls = list(urls)
        self.strategy: Strategy = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
        self.cycle: Iterator[str] | None = None
        self.current = self.urls[0] if len(self.urls) == 1 else self._next()

    def advance(self) -> bool:
        """Whether there is another broker, whose turn it is now."""
        if len(self.urls) > 1:
            self.current = self._next()
        return len(self.urls) > 1

    def completes_cycle(self, retries: int) -> bool:
        """Whether each broker was tried equally often, when attempt number ``retries`` (the first is 0) failed."""
        return (retries + 1) % len(self.urls) == 0

    def _next(self) -> str:
        for _ in range(2):
            if self.cycle is None:
                self.cycle = iter(self.strategy(list(self.urls)))
            for url in self.cycle:
                return url
            self.cycle = None
        raise ValueError(f"the failover strategy {self.strategy!r} names no URL")
