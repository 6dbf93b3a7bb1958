"""What has expired where nobody consumes: SQS does not say, so it is looked for, and as seldom as possible."""

from __future__ import annotations

import time
from collections.abc import Iterable

from kombu.transport.sqs.clock import ServerClock
from kombu.transport.sqs.holding import Holding
from kombu.transport.sqs.limits import BATCH
from kombu.transport.sqs.receiving import Receiver, Taken
from kombu.transport.sqs.topology import TaggedTopology
from kombu.transport.virtual.store import Envelope

_LOOK = 10.0
"""Seconds until the next look into a queue where messages with a time to live of their own may come at any moment."""


class Mortals:
    """Of one store. Every look is a delivery to AWS, so the next one is when something can have died."""

    def __init__(self, clock: ServerClock, topology: TaggedTopology, receiver: Receiver, holding: Holding) -> None:
        self._clock = clock
        self._topology = topology
        self._receiver = receiver
        self._holding = holding
        self._looks: dict[str, float] = {}
        """When to look again, by queue: this machine's monotonic clock."""

    def expect(self, items: Iterable[tuple[str, Envelope]]) -> None:
        """Some of these may expire: we look for them, and others do where that matters."""
        for queue, envelope in items:
            if envelope.ttl is not None:
                self._topology.expect_mortal(queue)
                at = time.monotonic() + envelope.ttl
                self._looks[queue] = min(self._looks.get(queue, at), at)

    def dead(self, limit: int, lease: float) -> list[Taken]:
        """Of the queues with a time to live, and of those that mortal messages were put into; held now."""
        now = time.monotonic()
        for name, spec in self._topology.last_topology().queues.items():
            if "x-message-ttl" in spec.arguments or name in self._topology.mortal:
                self._looks.setdefault(name, now)
        found: list[Taken] = []
        for queue in [queue for queue, at in list(self._looks.items()) if at <= now]:
            if len(found) < limit:
                found += self._look_into(queue, limit - len(found), lease)
        return found

    def _look_into(self, queue: str, limit: int, lease: float) -> list[Taken]:
        """Ask until there is one that has time left: those behind it mostly have more."""
        found: list[Taken] = []
        soonest = self._expected(queue)
        while len(found) < limit:
            taken = self._receiver.ask(queue, min(BATCH, limit - len(found)), lease)
            now = self._clock.now()
            dead = [each for each in taken if each.message.expired(now)]
            alive = [each for each in taken if not each.message.expired(now)]
            self._holding.give_back(alive)
            self._holding.hold(dead)
            found += dead
            soonest += [_left(each, now) for each in alive if each.message.note.ttl is not None]
            if not dead:
                break
        if found:
            soonest.append(lease if len(found) < limit else 0.0)
        if soonest:
            self._looks[queue] = time.monotonic() + max(min(soonest), 0.0)
        else:
            del self._looks[queue]
        return found

    def _expected(self, queue: str) -> list[float]:
        """Seconds until something may have died that is not there yet."""
        spec = self._topology.last_topology().queues.get(queue)
        ttl = spec.arguments.get("x-message-ttl") if spec else None
        expected = [ttl / 1000] if isinstance(ttl, int) else []
        return [*expected, _LOOK] if queue in self._topology.mortal else expected


def _left(taken: Taken, now: float) -> float:
    """Seconds that it has to live."""
    return taken.message.stored + (taken.message.note.ttl or 0) / 1000 - now
