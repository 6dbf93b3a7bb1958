"""From the return of publish to the handler, in another process that waits: both read the clock that all share."""

from __future__ import annotations

import random
import time

from load import message
from systems.system import Body, System
from works.timing import hear, say

PAUSES = 0.05, 0.4
FIRST = 5


def receive(system: System, count: int) -> list[int]:
    """When each handler was entered, in nanoseconds; without the first few."""
    entered: list[int] = []

    def handle(body: Body) -> None:
        entered.append(time.monotonic_ns())

    system.open()
    say("ready")
    system.consume(handle, lambda: len(entered) >= FIRST + count, 100)
    system.close()
    return entered[FIRST:]


def send(system: System, count: int) -> list[int]:
    """When each publish had returned."""
    pauses, returned = random.Random(4), []
    system.open()
    say("ready")
    hear()
    for number in range(FIRST + count):
        time.sleep(pauses.uniform(*PAUSES))
        system.publish([message(number)])
        returned.append(time.monotonic_ns())
    system.close()
    return returned[FIRST:]
