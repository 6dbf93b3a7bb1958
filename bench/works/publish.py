"""Publishing: each message stored before the next, and a hundred together."""

from __future__ import annotations

from collections.abc import Callable

from load import message
from systems.system import Body, System
from works.requests import Sent, counting
from works.timing import Taken, lasting, taken

FIRST = 300
BATCH = 100


def work(system: System, seconds: float, batches: bool, requests: bool = False) -> dict[str, Taken]:
    """With ``requests`` also how many of them a message takes."""
    sent = counting(system.place.kind, requests)
    system.open()
    found = {"single": _rate(seconds, system.publish, sent)}
    if batches:
        found["batches"] = _rate(seconds, lambda bodies: _in_batches(system, bodies), sent)
    system.close()
    return found


def _rate(seconds: float, publish: Callable[[list[Body]], object], sent: Sent) -> Taken:
    first = taken(FIRST, lambda: publish(_bodies(FIRST)))
    bodies = _bodies(lasting(seconds, first, FIRST))
    before = sent()
    found = taken(len(bodies), lambda: publish(bodies))
    found["requests"] = (sent() - before) / len(bodies)
    return found


def _in_batches(system: System, bodies: list[Body]) -> None:
    for at in range(0, len(bodies), BATCH):
        system.publish_batch(bodies[at : at + BATCH])


def _bodies(count: int) -> list[Body]:
    return [message(number) for number in range(count)]
