"""The in-memory transport: queues of one process, by name (``memory://name``), for tests and small programs.

Strict on purpose: bodies really are bytes, leases run out, what is not acknowledged comes back.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count, islice

from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual.store import (
    Capabilities,
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
    TopologyMoved,
)
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology

CAPABILITIES = Capabilities(
    name="memory",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
        }
    ),
    max_batch=1000,
)


class MemoryStore:
    """A handle on the queues that all stores of the same ``name`` in this process share."""

    capabilities = CAPABILITIES

    def __init__(self, name: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = _shared(name)
        self._clock = clock
        self._woken = False

    @staticmethod
    def reset(name: str = "") -> None:
        """Forget the queues of this name: stores opened from now on begin empty."""
        with _registry_lock:
            _registry.pop(name, None)

    def open(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Nothing to let go of: the messages stay for the other handles."""

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with self._shared.changed:
            self._shared.put(items, self._clock(), version)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self._shared.changed:
            now, token = self._clock(), random.getrandbits(63)
            return [
                queue.lease(stored, now, lease, token)
                for name, limit in wants.items()
                if (queue := self._shared.queues.get(name)) is not None
                for stored in queue.take(limit, now)
            ]

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._shared.changed:
            return [self._shared.settle(outcome, self._clock()) for outcome in outcomes]

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._shared.changed:
            until = self._clock() + seconds
            return [lease if self._shared.extend(lease, until) else None for lease in leases]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        deadline = self._clock() + timeout
        with self._shared.changed:
            while not self._woken and (remaining := deadline - self._clock()) > 0:
                due = self._shared.next_due(queues) - self._clock()
                if due <= 0:
                    return
                self._shared.changed.wait(min(remaining, due))
            self._woken = False

    def wake(self) -> None:
        with self._shared.changed:
            self._woken = True
            self._shared.changed.notify_all()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self._shared.changed:
            now = self._clock()
            return {q: self._shared.queues[q].counts(now) for q in queues if q in self._shared.queues}

    def purge(self, queue: str) -> int:
        with self._shared.changed:
            found = self._shared.queues.get(queue)
            return found.purge(self._clock()) if found else 0

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with self._shared.changed:
            now, token = self._clock(), random.getrandbits(63)
            found = ((queue, stored) for queue in self._shared.queues.values() for stored in queue.expired(now))
            return [queue.lease(stored, now, lease, token) for queue, stored in islice(found, limit)]

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with self._shared.changed:
            found, now = self._shared.queues.get(queue), self._clock()
            stored = sorted(found.messages.values(), key=lambda message: message.id) if found else []
            later = [message for message in stored if after is None or message.id > int(after)]
            return [message.delivery(queue, now) for message in later[:limit]]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        with self._shared.changed:
            found, now, token = self._shared.queues.get(queue), self._clock(), random.getrandbits(63)
            if found is None:
                return []
            chosen = [found.messages[int(i)] for i in ids if int(i) in found.messages]
            free = [message for message in chosen if not message.leased(now)]
            return [found.lease(message, now, lease, token) for message in free]

    def declare(self, queue: QueueSpec) -> None:
        with self._shared.changed:
            if queue.name not in self._shared.queues:
                self._shared.queues[queue.name] = _Queue(queue)
                self._shared.moved()

    def delete(self, queue: str) -> int:
        with self._shared.changed:
            gone = self._shared.queues.pop(queue, None)
            if gone is None:
                return 0
            self._shared.drop_bindings(lambda b: not b.to_exchange and b.destination == queue)
            return len(gone.messages)

    def topology(self) -> Topology:
        with self._shared.changed:
            return Topology(
                version=self._shared.version,
                exchanges=dict(self._shared.exchanges),
                queues={name: queue.spec for name, queue in self._shared.queues.items()},
                bindings=tuple(self._shared.bindings),
            )

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        with self._shared.changed:
            if exchange.name not in self._shared.exchanges:
                self._shared.exchanges[exchange.name] = exchange
                self._shared.moved()

    def delete_exchange(self, name: str) -> None:
        with self._shared.changed:
            if self._shared.exchanges.pop(name, None):
                self._shared.drop_bindings(lambda b: b.source == name or (b.to_exchange and b.destination == name))

    def bind(self, binding: BindingSpec) -> None:
        with self._shared.changed:
            if binding not in self._shared.bindings:
                self._shared.bindings.append(binding)
                self._shared.moved()

    def unbind(self, binding: BindingSpec) -> None:
        with self._shared.changed:
            if binding in self._shared.bindings:
                self._shared.bindings.remove(binding)
                self._shared.moved()


class Transport(VirtualTransport):
    """``memory://name``: the name, which may be empty, says which queues are shared."""

    driver_type = "memory"
    driver_name = "memory"

    def make_store(self) -> MemoryStore:
        return MemoryStore(self.address.hostname or "")


@dataclass(slots=True)
class _Stored:
    """One message in its queue. ``due`` is its place in line, ``available_at`` when it may be claimed, ``turn``
    how often that changed."""

    id: int
    envelope: Envelope
    stored_at: float
    due: float
    available_at: float
    expires_at: float | None
    token: int | None = None
    deliveries: int = 0
    turn: int = 0

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def leased(self, now: float) -> bool:
        return self.token is not None and self.available_at > now

    def delivery(self, queue: str, now: float) -> Delivery:
        return Delivery(
            lease=Lease(queue, self.id, self.token or 0),
            head=self.envelope.head,
            body=self.envelope.body,
            priority=self.envelope.priority,
            delivery_count=self.deliveries,
            expired=self.expired(now),
            age=now - self.stored_at,
        )


@dataclass(slots=True)
class _Queue:
    """Messages by id and two heaps: ``later`` by time, ``ready`` by priority and place.

    An entry is good only while its turn is the message's latest; older ones are skipped when met. ``mortal`` has
    the ids of messages with a time to live.
    """

    spec: QueueSpec
    messages: dict[int, _Stored] = field(default_factory=dict)
    later: list[tuple[float, int, int]] = field(default_factory=list)
    ready: list[tuple[int, float, int, int]] = field(default_factory=list)
    mortal: set[int] = field(default_factory=set)

    def add(self, stored: _Stored) -> None:
        self.messages[stored.id] = stored
        if stored.expires_at is not None:
            self.mortal.add(stored.id)
        self.schedule(stored)

    def schedule(self, stored: _Stored) -> None:
        """Enter a message whose ``available_at`` is new."""
        stored.turn += 1
        heappush(self.later, (stored.available_at, stored.id, stored.turn))
        if len(self.later) > 2 * len(self.messages) + 1024:
            self.later = [(each.available_at, each.id, each.turn) for each in self.messages.values()]
            heapify(self.later)
            self.ready.clear()

    def take(self, limit: int, now: float) -> list[_Stored]:
        self.promote(now)
        taken: list[_Stored] = []
        while self.ready and len(taken) < limit:
            *_, id, turn = heappop(self.ready)
            if self._good(id, turn):
                taken.append(self.messages[id])
        return taken

    def promote(self, now: float) -> None:
        """What has become available moves from ``later`` to ``ready``."""
        while self.later and self.later[0][0] <= now:
            _, id, turn = heappop(self.later)
            if self._good(id, turn):
                stored = self.messages[id]
                heappush(self.ready, (-stored.envelope.priority, stored.due, id, turn))

    def lease(self, stored: _Stored, now: float, seconds: float, token: int) -> Delivery:
        stored.token, stored.available_at = token, now + seconds
        stored.deliveries += 1
        self.schedule(stored)
        return stored.delivery(self.spec.name, now)

    def next_due(self) -> float | None:
        """When the next message may be claimed; in the past when one is ready."""
        while self.ready and not self._good(*self.ready[0][2:]):
            heappop(self.ready)
        while self.later and not self._good(*self.later[0][1:]):
            heappop(self.later)
        if self.ready:
            return self.messages[self.ready[0][2]].available_at
        return self.later[0][0] if self.later else None

    def _good(self, id: int, turn: int) -> bool:
        stored = self.messages.get(id)
        return stored is not None and stored.turn == turn

    def expired(self, now: float) -> list[_Stored]:
        """What may be swept."""
        self.mortal &= self.messages.keys()
        found = [self.messages[id] for id in self.mortal]
        return [stored for stored in found if stored.expired(now) and stored.available_at <= now]

    def counts(self, now: float) -> Counts:
        ready = [message for message in self.messages.values() if message.available_at <= now]
        leased = sum(message.leased(now) for message in self.messages.values())
        return Counts(
            ready=len(ready),
            delayed=len(self.messages) - len(ready) - leased,
            leased=leased,
            oldest=max((now - message.stored_at for message in ready), default=None),
        )

    def purge(self, now: float) -> int:
        free = [message.id for message in self.messages.values() if not message.leased(now)]
        for id in free:
            del self.messages[id]
        return len(free)


@dataclass(slots=True)
class _Shared:
    """What all handles of one name share. ``changed`` guards it and wakes those who wait."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    queues: dict[str, _Queue] = field(default_factory=dict)
    exchanges: dict[str, ExchangeSpec] = field(default_factory=dict)
    bindings: list[BindingSpec] = field(default_factory=list)
    version: int = 0
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    def moved(self) -> None:
        self.version = random.getrandbits(63)

    def drop_bindings(self, unwanted: Callable[[BindingSpec], bool]) -> None:
        self.bindings = [binding for binding in self.bindings if not unwanted(binding)]
        self.moved()

    def put(self, items: Sequence[tuple[str, Envelope]], now: float, version: int | None) -> None:
        if version is not None and version != self.version:
            raise TopologyMoved
        if any(queue not in self.queues for queue, _ in items):
            raise TopologyMoved
        for queue, envelope in items:
            due = now + envelope.delay
            expires_at = None if envelope.ttl is None else now + envelope.ttl
            self.queues[queue].add(_Stored(next(self.ids), envelope, now, due, due, expires_at))
        self.changed.notify_all()

    def next_due(self, queues: Sequence[str]) -> float:
        times = [self.queues[name].next_due() for name in queues if name in self.queues]
        return min((time for time in times if time is not None), default=math.inf)

    def settle(self, outcome: Outcome, now: float) -> bool:
        queue, stored = self.held(outcome.lease)
        if queue is None or stored is None:
            return False
        match outcome:
            case Done():
                del queue.messages[stored.id]
            case Release(delay=delay, counted=counted):
                stored.token = None
                stored.deliveries -= not counted
                stored.due = now + delay if delay else stored.due
                stored.available_at = stored.due
                queue.schedule(stored)
                self.changed.notify_all()
            case Move(into=into):
                self.put(into, now, None)
                del queue.messages[stored.id]
        return True

    def extend(self, lease: Lease, until: float) -> bool:
        queue, stored = self.held(lease)
        if queue is None or stored is None:
            return False
        stored.available_at = until
        queue.schedule(stored)
        return True

    def held(self, lease: Lease) -> tuple[_Queue | None, _Stored | None]:
        queue = self.queues.get(lease.queue)
        stored = queue.messages.get(int(lease.id)) if queue else None
        return (queue, stored) if stored is not None and stored.token == lease.token else (queue, None)


_registry: dict[str, _Shared] = {}
_registry_lock = threading.Lock()


def _shared(name: str) -> _Shared:
    with _registry_lock:
        return _registry.setdefault(name, _Shared())
