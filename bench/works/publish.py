"""Publishing: each message stored before the next, and a hundred together."""

from __future__ import annotations

from collections.abc import Callable

from load import message
from systems.system import Body, System
from works.timing import Taken, lasting, taken

FIRST = 300
BATCH = 100


def work(system: System, seconds: float, batches: bool) -> dict[str, Taken]:
    system.open()
    found = {"single": _rate(seconds, system.publish)}
    if batches:
        found["batches"] = _rate(seconds, lambda bodies: _in_batches(system, bodies))
    system.close()
    return found


def _rate(seconds: float, publish: Callable[[list[Body]], object]) -> Taken:
    first = taken(FIRST, lambda: publish(_bodies(FIRST)))
    bodies = _bodies(lasting(seconds, first, FIRST))
    return taken(len(bodies), lambda: publish(bodies))


def _in_batches(system: System, bodies: list[Body]) -> None:
    for at in range(0, len(bodies), BATCH):
        system.publish_batch(bodies[at : at + BATCH])


def _bodies(count: int) -> list[Body]:
    return [message(number) for number in range(count)]
