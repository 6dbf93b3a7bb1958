"""How long something takes, by the clock and by the process's own use of the CPU."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Taken = dict[str, float]


def taken(count: int, work: Callable[[], object]) -> Taken:
    """Messages a second, and seconds of CPU for a thousand of them."""
    cpu, started = time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return {"rate": count / seconds, "cpu": (time.process_time() - cpu) / count * 1000, "seconds": seconds}


def lasting(seconds: float, first: Taken, at_least: int) -> int:
    """How many messages last that long, by the rate of a first few; a hundredfold."""
    return -(-max(int(first["rate"] * seconds * 1.2), at_least) // 100) * 100


def say(word: str) -> None:
    """To the process that started this one."""
    print(word, flush=True)


def hear() -> str:
    """What it says."""
    return sys.stdin.readline().strip()
