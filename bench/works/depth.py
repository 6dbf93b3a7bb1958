"""Claiming from a queue that keeps its depth.

For each thousand that were drained a thousand are published, and only the draining counts.
"""

from __future__ import annotations

import time

from systems.system import Body, System
from works import drain
from works.timing import Taken, hear, say

ROUND = 1000


def work(system: System, seconds: float, prefetch: int) -> Taken:
    """The queue is made deep, by who started this, when the first round is there."""
    system.open()
    drain.fill(system, ROUND)
    say("ready")
    hear()
    watch = _Watch()
    seen = 0

    def handle(body: Body) -> None:
        nonlocal seen
        seen += 1
        if seen % ROUND == 0:
            watch.pause()
            if seen == ROUND:
                watch.seconds = watch.cpu = 0.0  # that was for warming up
            drain.fill(system, ROUND)
            watch.go()

    watch.go()
    system.consume(handle, lambda: watch.seconds >= seconds, prefetch)
    system.close()
    drained = seen // ROUND * ROUND - ROUND
    return {"rate": drained / watch.seconds, "cpu": watch.cpu / drained * 1000, "seconds": watch.seconds}


class _Watch:
    """Counts what lies between :meth:`go` and :meth:`pause`."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def go(self) -> None:
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def pause(self) -> None:
        self.seconds += time.perf_counter() - self._started
        self.cpu += time.process_time() - self._cpu
