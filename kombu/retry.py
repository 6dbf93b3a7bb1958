"""Trying again: how long to wait between attempts, and the one loop that does it.

A wait grows by a step after each failure up to a ceiling, and jitter shortens it by a random part, so that a
thousand clients of one broken broker do not come back at the same moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from random import random as _random
from typing import TypeVar

__all__ = ["RetryPolicy", "retry", "retry_over_time"]

T = TypeVar("T")

Catch = type[Exception] | tuple[type[Exception], ...]
"""The errors that are worth another attempt; any other goes straight to the caller."""

CALLBACK_INTERVAL = 1.0
"""Seconds between the calls of :func:`retry_over_time`'s ``callback`` during a wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try again and how long to wait before each retry, in seconds.

    ``max_retries`` None means without end, 0 never. The first retry waits ``interval_start``, each later one
    ``interval_step`` more, none more than ``interval_max``. ``jitter`` is the part of a wait, 0 to 1, that
    chance may take off. The defaults (0.5, 1.5, 2.5 ... 30 seconds, less up to a fifth) suit a broker that
    restarts. Raises ValueError for negative numbers and a jitter above 1.
    """

    max_retries: int | None = None
    interval_start: float = 0.5
    interval_step: float = 1.0
    interval_max: float = 30.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.max_retries is not None and self.max_retries < 0:
            raise ValueError(f"max_retries is negative: {self.max_retries}")
        for name in ("interval_start", "interval_step", "interval_max"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is negative or not a number: {getattr(self, name)}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is not between 0 and 1: {self.jitter}")

    def delay(self, attempt: int, random: Callable[[], float] = _random) -> float:
        """Seconds to wait after attempt number ``attempt`` (the first is 1) has failed."""
        wait = min(self.interval_start + self.interval_step * (attempt - 1), self.interval_max)
        return wait * (1.0 - self.jitter * random())

    def delays(self, random: Callable[[], float] = _random) -> Iterator[float]:
        """The waits before the first retry, the second ... ; as many as there are retries."""
        attempts = count(1) if self.max_retries is None else range(1, self.max_retries + 1)
        return (self.delay(attempt, random) for attempt in attempts)


def retry(
    call: Callable[[], T],
    *,
    catch: Catch,
    policy: RetryPolicy,
    timeout: float | None = None,
    on_error: Callable[[Exception, float], object] | None = None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] = _random,
) -> T:
    """What ``call`` returns, calling it again after each error of ``catch`` as ``policy`` says.

    ``on_error(exc, seconds)`` hears of every failure that is followed by another attempt, and of the wait
    before it. ``timeout`` is seconds for the whole: a wait that would pass the deadline ends at it, and one
    last attempt follows. Raises the last error when the retries or the time are used up.
    """

    def wait_after(exc: Exception, attempt: int) -> float:
        wait = policy.delay(attempt, random)
        if on_error is not None:
            on_error(exc, wait)
        return wait

    return _persist(call, catch, wait_after, policy.max_retries, timeout, sleep, clock)


def retry_over_time(
    fun: Callable[..., T],
    catch: Catch,
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    errback: Callable[[Exception, Iterator[float], int], float | None] | None = None,
    max_retries: int | None = None,
    interval_start: float = 2,
    interval_step: float = 2,
    interval_max: float = 30,
    callback: Callable[[], object] | None = None,
    timeout: float | None = None,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call ``fun(*args, **kwargs)`` until it raises none of the errors in ``catch``; intervals are seconds.

    ``errback(exc, intervals, retries)`` hears of every failure that is followed by another attempt:
    ``intervals`` is an iterator of the waits from this one on, ``retries`` counts from 0. What it returns is
    slept, None meaning the next interval. ``callback()`` is called about once a second during a wait and may
    raise to end it. ``timeout`` is seconds for the whole. Raises the last error when either limit is reached.
    """
    policy = RetryPolicy(
        max_retries=max_retries,
        interval_start=interval_start,
        interval_step=interval_step,
        interval_max=interval_max,
        jitter=0.0,
    )

    def wait_after(exc: Exception, attempt: int) -> float:
        asked = None if errback is None else errback(exc, map(policy.delay, count(attempt)), attempt - 1)
        return policy.delay(attempt) if asked is None else asked

    return _persist(
        lambda: fun(*args, **(kwargs or {})),
        catch,
        wait_after,
        max_retries,
        timeout,
        sleep if callback is None else _watched(callback, sleep),
        clock,
    )


def _persist(
    call: Callable[[], T],
    catch: Catch,
    wait_after: Callable[[Exception, int], float],
    max_retries: int | None,
    timeout: float | None,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
) -> T:
    """The loop behind both doors; attempts count from 1."""
    deadline = inf if timeout is None else clock() + timeout
    for attempt in count(1):
        try:
            return call()
        except catch as exc:
            if (max_retries is not None and attempt > max_retries) or clock() >= deadline:
                raise
            wait = wait_after(exc, attempt)
        wait = min(wait, deadline - clock())
        if wait > 0:
            sleep(wait)
    raise AssertionError("unreachable: the loop above has no end")


def _watched(callback: Callable[[], object], sleep: Callable[[float], object]) -> Callable[[float], None]:
    """A sleep that wakes once a second for ``callback``."""

    def sleep_in_steps(seconds: float) -> None:
        left = seconds
        while left > 0:
            callback()
            step = min(left, CALLBACK_INTERVAL)
            sleep(step)
            left -= step

    return sleep_in_steps
