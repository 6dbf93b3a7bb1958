"""Stores that lie about messages: one deliberate fault each."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import (
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    MessageId,
    Move,
    Outcome,
    QueueSpec,
    Release,
)


class IgnoresTokens(MemoryStore):
    """Settles and extends for whoever asks, as long as the message is there."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.latest: dict[tuple[str, MessageId], Lease] = {}

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        deliveries = super().claim(wants, lease)
        self.latest |= {(each.lease.queue, each.lease.id): each.lease for each in deliveries}
        return deliveries

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([outcome._replace(lease=self.stolen(outcome.lease)) for outcome in outcomes])

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        return super().extend([self.stolen(lease) for lease in leases], seconds)

    def stolen(self, lease: Lease) -> Lease:
        return self.latest.get((lease.queue, lease.id), lease)


class ForgetsTheCount(MemoryStore):
    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return [delivery._replace(delivery_count=1) for delivery in super().claim(wants, lease)]


class RemovesBeforeItStores(MemoryStore):
    """Moves in the wrong order: what cannot be stored is lost."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return [self.settle_one(outcome) for outcome in outcomes]

    def settle_one(self, outcome: Outcome) -> bool:
        if not isinstance(outcome, Move):
            return super().settle([outcome])[0]
        [done] = super().settle([Done(outcome.lease)])
        if done:
            self.put(outcome.into)
        return done


class StoresBeforeItLooks(RemovesBeforeItStores):
    """Moves without asking first whose the message is."""

    def settle_one(self, outcome: Outcome) -> bool:
        if isinstance(outcome, Move):
            self.put(outcome.into)
            outcome = Done(outcome.lease)
        return super().settle_one(outcome)


class ClaimsUnordered(MemoryStore):
    """As ``UPDATE … RETURNING`` does."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(wants, lease)[::-1]


class ServesOneQueue(MemoryStore):
    """Claims from the first queue that has anything, so the others starve."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        claims = (super(ServesOneQueue, self).claim({queue: limit}, lease) for queue, limit in wants.items())
        return next((claimed for claimed in claims if claimed), [])


class ClaimsTooMany(MemoryStore):
    """Keeps the sum of the limits instead of each."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(dict.fromkeys(wants, sum(wants.values())), lease)


class ClaimsWhatItSawBefore(MemoryStore):
    """Looks, then takes: between the two another looks as well."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        seen = [delivery for queue, limit in wants.items() for delivery in self.browse(queue, limit)]
        threading.Event().wait(0.02)
        super().claim(wants, lease)
        return seen


class NeverLetsGo(MemoryStore):
    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(wants, 3600.0)


class IgnoresPriority(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, envelope._replace(priority=0)) for queue, envelope in items], version)


class IgnoresDelay(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, envelope._replace(delay=0.0)) for queue, envelope in items], version)


class IgnoresTimeToLive(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, envelope._replace(ttl=None)) for queue, envelope in items], version)


class IgnoresVersion(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put(items)


class StoresHalfABatch(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for item in items:
            super().put([item], version)


class CreatesMissingQueues(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for queue, _ in items:
            self.declare(QueueSpec(name=queue))
        super().put(items)


class WritesHeadsInAscii(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        ascii_only = [(q, e._replace(head=e.head.encode("ascii", "replace").decode())) for q, e in items]
        super().put(ascii_only, version)


class TakesBodiesForText(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        text = [(queue, e._replace(body=e.body.decode(errors="replace").encode())) for queue, e in items]
        super().put(text, version)


class ExtendsInWordsOnly(MemoryStore):
    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        return list(leases)


class ReleasesToTheEnd(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([o._replace(delay=1e-6) if isinstance(o, Release) else o for o in outcomes])


class AlwaysCounts(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([o._replace(counted=True) if isinstance(o, Release) else o for o in outcomes])


class AnswersOutOfOrder(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return sorted(super().settle(outcomes))


class KeepsCopiesInStep(MemoryStore):
    """Claims every message that says the same, wherever it is."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        deliveries = super().claim(wants, lease)
        taken = {delivery.body for delivery in deliveries}
        for queue in self.topology().queues:
            same = [delivery.lease.id for delivery in self.browse(queue, 1000) if delivery.body in taken]
            super().claim_chosen(queue, same, lease)
        return deliveries


class SweepsTheLiving(MemoryStore):
    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        deliveries = self.claim(dict.fromkeys(self.topology().queues, limit), lease)
        return [delivery._replace(expired=True) for delivery in deliveries]


class PurgesTheLeased(MemoryStore):
    def purge(self, queue: str) -> int:
        removed = self.delete(queue)
        self.declare(QueueSpec(name=queue))
        return removed


class KeepsTheDeleted(MemoryStore):
    """Forgets the queue but not what is in it."""

    def delete(self, queue: str) -> int:
        return super().counts([queue])[queue].total


class PurgesTheReadyOnly(MemoryStore):
    def purge(self, queue: str) -> int:
        ready = self.claim({queue: 1000}, 60.0)
        return sum(self.settle([Done(delivery.lease) for delivery in ready]))


class DeclaresAnew(MemoryStore):
    def declare(self, queue: QueueSpec) -> None:
        self.delete(queue.name)
        super().declare(queue)


class CountsDelayedAsReady(MemoryStore):
    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        found = super().counts(queues).items()
        return {name: replace(c, ready=c.ready + c.delayed, delayed=0) for name, c in found}


class CountsTheUnknown(MemoryStore):
    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        return dict.fromkeys(queues, Counts()) | super().counts(queues)


class FoldsCase(MemoryStore):
    """As the usual collation of MySQL does."""

    def declare(self, queue: QueueSpec) -> None:
        super().declare(replace(queue, name=queue.name.lower()))

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue.lower(), envelope) for queue, envelope in items], version)

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        return {name: super(FoldsCase, self).counts([name.lower()])[name.lower()] for name in queues}


class SleepsThroughPuts(MemoryStore):
    def wait(self, queues: Sequence[str], timeout: float) -> None:
        threading.Event().wait(timeout)


class WaitsForever(MemoryStore):
    def wait(self, queues: Sequence[str], timeout: float) -> None:
        super().wait(queues, 3600.0)


class ForgetsOnClose(MemoryStore):
    def close(self) -> None:
        for queue in self.topology().queues:
            self.purge(queue)


class BrowsesByClaiming(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return self.claim({queue: limit}, 60.0)


class BrowsesFromTheStart(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return super().browse(queue, limit)


class BrowsesTheLatestFirst(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return super().browse(queue, limit, after)[::-1]


class BrowsesWithGoodLeases(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers = super().settle(outcomes)
        unclaimed = [outcome.lease.id for outcome in outcomes if outcome.lease.token == 0]
        for queue in self.topology().queues:
            super().settle([Done(d.lease) for d in self.claim_chosen(queue, unclaimed, 60.0)])
        return answers


class ChoosesEverything(MemoryStore):
    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        return self.claim({queue: 100}, lease)


class StealsTheChosen(MemoryStore):
    """Claims chosen messages although somebody is at work on them."""

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        held = [delivery.lease for delivery in self.browse(queue, 100) if delivery.lease.id in ids]
        self.settle([Release(lease) for lease in held])
        return super().claim_chosen(queue, ids, lease)
