"""The jobs that this connection has reserved, and until when: bookkeeping only, by this machine's clock.

The server counts a job's time to run from its reservation on. A lease is what the engine asked for, and may be shorter
or, for jobs that other programs have put, longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from kombu.transport.virtual.store import Lease, MessageId


@dataclass(slots=True)
class Held:
    """``runs_out`` is when the server may take it back, ``ends`` when the lease is over."""

    lease: Lease
    priority: int
    ttr: int
    reserves: int
    runs_out: float
    ends: float

    @property
    def id(self) -> int:
        return int(self.lease.id)

    @property
    def touch_at(self) -> float:
        """When to touch it, since its lease is longer than its time to run; never where it is not."""
        return self.runs_out - self.ttr / 2 if self.ends > self.runs_out else inf


class Ledger:
    """All of them, by their number."""

    def __init__(self) -> None:
        self._held: dict[MessageId, Held] = {}
        self.next_end = inf
        """No lease ends before."""

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def add(self, held: Iterable[Held]) -> None:
        """Of one claim."""
        for each in held:
            self._held[each.lease[1]] = each
            if each.ends < self.next_end:
                self.next_end = each.ends

    def find(self, lease: Lease) -> Held | None:
        """None where the lease is not the latest here, or was given up."""
        held = self._held.get(lease[1])
        return held if held is not None and held.lease[2] == lease[2] else None

    def drop(self, held: Held) -> None:
        self._held.pop(held.lease[1], None)

    def drop_queue(self, queue: str) -> list[Held]:
        """Those of a queue, which are no longer held then."""
        dropped = [held for held in self._held.values() if held.lease.queue == queue]
        for held in dropped:
            self.drop(held)
        return dropped

    def renew(self, held: Held, now: float, seconds: float) -> None:
        held.runs_out, held.ends = now + held.ttr, now + seconds
        self.next_end = min(self.next_end, held.ends)

    def ended(self, now: float) -> list[Held]:
        """Those whose lease is over, and which the server still keeps for us."""
        if now < self.next_end:
            return []
        ended = [held for held in self._held.values() if held.ends <= now < held.runs_out]
        self.next_end = min((held.ends for held in self._held.values() if held.ends > now), default=inf)
        return ended

    def next_touch(self) -> float:
        return min((held.touch_at for held in self._held.values()), default=inf)

    def to_touch(self, now: float) -> list[Held]:
        return [held for held in self._held.values() if held.touch_at <= now]
