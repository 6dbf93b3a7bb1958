"""A consumer at an empty queue: what it costs to wait."""

from __future__ import annotations

import time

from systems.system import System
from works.timing import say

SETTLED = 3.0


def work(system: System, seconds: float) -> dict[str, float]:
    """Percent of a core, over so many seconds after the first few; says when they begin and end."""
    system.open()
    _wait(system, SETTLED)
    say("begin")
    cpu, started = time.process_time(), time.monotonic()
    _wait(system, seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - started)
    say("end")
    system.close()
    return {"percent": share * 100}


def _wait(system: System, seconds: float) -> None:
    until = time.monotonic() + seconds
    system.consume(lambda body: None, lambda: time.monotonic() >= until, 100)
