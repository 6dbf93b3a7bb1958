"""Stores that lie about queues of limited length: one deliberate fault each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Delivery, Done, Envelope, QueueFull, QueueSpec, Release


class DropsTheNewest(MemoryStore):
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        taken = super().surplus(queues, lease)
        every = taken + self.claim(dict.fromkeys(queues, 1000), lease)
        keep = len(every) - len(taken)
        self.settle([Release(delivery.lease, counted=False) for delivery in every[:keep]])
        return every[keep:]


class DropsTooSoon(MemoryStore):
    """As soon as a queue is full."""

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        full = [queue for queue in queues if self.counts([queue])[queue].ready == self.limit(queue)]
        return super().surplus(queues, lease) + self.claim(dict.fromkeys(full, 1), lease)

    def limit(self, queue: str) -> int | None:
        return self.topology().queues[queue].max_length


class CountsAllItHas(MemoryStore):
    """Delayed and leased messages, too."""

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        return [each for queue in queues for each in self.claim({queue: self.excess(queue)}, lease)]

    def excess(self, queue: str) -> int:
        limit = self.topology().queues[queue].max_length
        return 0 if limit is None else self.counts([queue])[queue].total - limit


class CountsAllItHasLater(CountsAllItHas):
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        threading.Event().wait(0.01)
        return super().surplus(queues, lease)


class ShowsTheSurplus(MemoryStore):
    """And claims nothing."""

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        taken = super().surplus(queues, lease)
        self.settle([Release(delivery.lease, counted=False) for delivery in taken])
        return taken


class KeepsTheSurplus(MemoryStore):
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        return super().surplus(queues, 3600.0)


class CountsFirstAndClaimsLater(MemoryStore):
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        queue = self._shared.queues[queues[0]]
        excess = queue.surplus(self._clock())
        threading.Event().wait(0.01)
        return self.claim({queues[0]: excess}, lease)


class LooksAtEveryQueue(MemoryStore):
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        return super().surplus(list(self.topology().queues), lease)


class ChangesArguments(MemoryStore):
    def declare(self, queue: QueueSpec) -> None:
        super().declare(replace(queue, arguments=self.changed(dict(queue.arguments))))

    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


class IgnoresBytes(ChangesArguments):
    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name != "x-max-length-bytes"}


class IgnoresTheLength(ChangesArguments):
    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name != "x-max-length"}


class TakesNothingForNoLimit(ChangesArguments):
    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if value != 0}


class LimitsEverything(ChangesArguments):
    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"x-max-length": 10} | arguments


class NeverRefuses(ChangesArguments):
    def changed(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in arguments.items() if name != "x-overflow"}


class RefusesSilently(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        try:
            super().put(items, version)
        except QueueFull:
            return


class StoresWhatFits(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for item in items:
            super().put([item], version)


class RefusesForWhatIsHeld(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for queue, _ in items:
            spec = self.topology().queues[queue]
            if spec.refuses_when_full and self.counts([queue])[queue].total == spec.max_length:
                raise QueueFull(queue)
        super().put(items, version)


class LooksForRoomAndPutsLater(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for queue in {queue for queue, _ in items}:
            if not self._shared.queues[queue].has_room(items, self._clock()):
                raise QueueFull(queue)
        threading.Event().wait(0.01)
        with self._shared.changed:
            for queue, envelope in items:
                self._shared.queues[queue].add(envelope, self._clock())


class RefusesWhatItDeclaredItself(MemoryStore):
    """It does not know of the limits that others declared."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.own: set[str] = set()

    def declare(self, queue: QueueSpec) -> None:
        self.own.add(queue.name)
        super().declare(queue)

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for queue, _ in items:
            known = queue in self.own
            self._shared.queues[queue].refuses = known and self._shared.queues[queue].spec.refuses_when_full
        super().put(items, version)


class DropsToMakeRoom(MemoryStore):
    """Instead of refusing."""

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        try:
            super().put(items, version)
        except QueueFull as full:
            self.settle([Done(delivery.lease) for delivery in self.claim({full.queue: len(items)}, 60.0)])
            super().put(items, version)
