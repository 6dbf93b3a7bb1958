"""Draining: messages that wait are handed out and acknowledged, none is lost or doubled."""

from __future__ import annotations

from load import message
from systems.system import Body, System
from works.requests import counting
from works.timing import Taken, lasting, taken

FIRST = 200
BATCH = 500


def work(system: System, seconds: float, prefetch: int, requests: bool = False) -> Taken:
    """With ``requests`` also how many of them a message takes."""
    sent = counting(system.place.kind, requests)
    system.open()
    fill(system, FIRST)
    first = _drained(system, FIRST, prefetch)
    count = lasting(seconds, first, FIRST)
    if count > 5 * FIRST:  # the first few were too few to tell
        fill(system, count // 4)
        count = lasting(seconds, _drained(system, count // 4, prefetch), FIRST)
    fill(system, count)
    system.settle()
    before = sent()
    found = _drained(system, count, prefetch)
    found["requests"] = (sent() - before) / count
    system.close()
    return found


def fill(system: System, count: int) -> None:
    """Serial numbers from 0."""
    for at in range(0, count, BATCH):
        system.publish_batch([message(number) for number in range(at, min(at + BATCH, count))])


def _drained(system: System, count: int, prefetch: int) -> Taken:
    seen: list[int] = []

    def handle(body: Body) -> None:
        seen.append(body["i"])

    found = taken(count, lambda: system.consume(handle, lambda: len(seen) >= count, prefetch))
    if sorted(seen) != list(range(count)):
        raise SystemExit(f"{len(seen)} messages of {count} arrived, {len(set(seen))} different")
    return found
