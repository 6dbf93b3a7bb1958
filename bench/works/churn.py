"""Publishing and draining at full speed for long: two processes, and never more than so many messages between them."""

from __future__ import annotations

import time

from load import message
from systems.system import Body, System
from works.timing import hear, say

ROUND = 1000


def publish(system: System) -> int:
    """A thousand for each line that is heard, in hundreds, until there is none."""
    system.open()
    rounds = 0
    while hear():
        for at in range(0, ROUND, 100):
            system.publish_batch([message(at + number) for number in range(100)])
        rounds += 1
    system.close()
    return rounds * ROUND


def consume(system: System, seconds: float, parts: int, prefetch: int) -> list[int]:
    """Says a line for each thousand. Answers how many came in each part of the time."""
    counts = [0] * (parts + 1)
    total = 0
    system.open()
    say("ready")
    hear()
    started = time.monotonic()

    def handle(body: Body) -> None:
        nonlocal total
        total += 1
        part = int((time.monotonic() - started) / seconds * parts)
        counts[min(part, parts)] += 1
        if total % ROUND == 0:
            say("more")

    system.consume(handle, lambda: time.monotonic() - started >= seconds, prefetch)
    system.close()
    return counts[:parts]
