"""Several processes at one queue: each takes what it gets until nothing comes any more."""

from __future__ import annotations

import time
from typing import Any

from systems.system import Body, System
from works import drain
from works.timing import hear, say

QUIET = 1.0
"""Seconds without a message after which the queue is empty."""


def fill(system: System, count: int) -> None:
    system.open()
    drain.fill(system, count)
    system.settle()
    system.close()


def work(system: System, prefetch: int) -> dict[str, Any]:
    """Begins when it is told to. Answers with the serial numbers and the time of the last."""
    seen: list[int] = []
    last = 0.0

    def handle(body: Body) -> None:
        nonlocal last
        seen.append(body["i"])
        last = time.monotonic()

    system.open()
    say("ready")
    hear()
    cpu, last = time.process_time(), time.monotonic()
    started = last
    system.consume(handle, lambda: time.monotonic() - last > QUIET, prefetch)
    cpu = time.process_time() - cpu
    system.close()
    return {"seen": seen, "started": started, "last": last, "cpu": cpu}
