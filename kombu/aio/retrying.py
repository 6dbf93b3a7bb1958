"""Trying again without blocking the event loop, by the same policy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import chain
from math import inf
from typing import TypeVar

from kombu.exceptions import OperationalError
from kombu.retry import RetryPolicy

T = TypeVar("T")


async def retry(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    timeout: float | None = None,
    on_error: Callable[[Exception, float], object] | None = None,
) -> T:
    """What ``attempt`` returns, trying again on ``OperationalError``: the meaning is :func:`kombu.retry.retry`'s.

    ``timeout`` is seconds for the whole: a wait that would pass the deadline ends at it, and one last attempt
    follows.
    """
    clock = asyncio.get_running_loop().time
    deadline = inf if timeout is None else clock() + timeout
    for wait in chain(policy.delays(), [None]):
        try:
            return await attempt()
        except OperationalError as error:
            if wait is None or clock() >= deadline:
                raise
            if on_error is not None:
                on_error(error, wait)
        await asyncio.sleep(min(wait, max(deadline - clock(), 0.0)))
    raise AssertionError("unreachable: the last attempt returns or raises")
