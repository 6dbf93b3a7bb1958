"""The in-memory transport: queues of one process, by name (``memory://name``), for tests and small programs.

Strict on purpose: bodies really are bytes, leases run out, what is not acknowledged comes back.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from weakref import WeakSet

from kombu.transport.memory.queue import Queue
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
    QueueFull,
    QueueSpec,
    Release,
    TopologyMoved,
    User,
)
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology

CAPABILITIES = Capabilities(
    name="memory",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-overflow",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
            "x-single-active-consumer",
        }
    ),
    max_batch=1000,
)


class MemoryStore:
    """A handle on the queues that all stores of the same ``name`` in this process share.

    ``clock`` is another one than theirs. What makes them fail on purpose is :mod:`kombu.testing.faults`.
    """

    capabilities = CAPABILITIES

    def __init__(self, name: str = "", clock: Callable[[], float] | None = None) -> None:
        self._shared = shared_queues(name)
        self._clock = clock or self._shared.clock
        self._woken = False
        self._shared.handles.add(self)
        if self._shared.on_handle is not None:
            self._shared.on_handle(self)

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
        shared = self._shared
        shared.lock.acquire()  # not a with block: that takes twice the time, for every message
        try:
            shared.put(items, self._clock(), version)
        finally:
            shared.lock.release()

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self._shared.lock:
            now, token = self._clock(), random.getrandbits(63)
            found: list[Delivery] = []
            for name, limit in wants.items():
                queue = self._shared.queues.get(name)
                if queue is not None and not queue.paused:
                    found += queue.claim(limit, now, lease, token)
            return found

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._shared.lock:
            return self._shared.settle(outcomes, self._clock())

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._shared.lock:
            now = self._clock()
            return [lease if self._shared.extend(lease, now, seconds) else None for lease in leases]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        deadline = self._clock() + timeout
        with self._shared.lock:
            while not self._woken and (remaining := deadline - self._clock()) > 0:
                due = self._shared.next_due(queues) - self._clock()
                if due <= 0:
                    return
                self._shared.wait(min(remaining, due))
            self._woken = False

    def wake(self) -> None:
        with self._shared.lock:
            self._woken = True
            self._shared.changed.notify_all()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self._shared.lock:
            now = self._clock()
            return {q: self._shared.queues[q].counts(now) for q in queues if q in self._shared.queues}

    def purge(self, queue: str) -> int:
        with self._shared.lock:
            found = self._shared.queues.get(queue)
            return found.purge(self._clock()) if found else 0

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with self._shared.lock:
            now, token = self._clock(), random.getrandbits(63)
            queues = self._shared.queues.values()
            return list(islice((each for queue in queues for each in queue.claim_expired(now, lease, token)), limit))

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        with self._shared.lock:
            now, token = self._clock(), random.getrandbits(63)
            known = [self._shared.queues[name] for name in queues if name in self._shared.queues]
            return [each for queue in known for each in queue.claim(queue.surplus(now), now, lease, token)]

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with self._shared.lock:
            found = self._shared.queues.get(queue)
            return found.browse(limit, after, self._clock()) if found else []

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        with self._shared.lock:
            found, token = self._shared.queues.get(queue), random.getrandbits(63)
            return found.claim_chosen([int(id) for id in ids], self._clock(), lease, token) if found else []

    def pause(self, queue: str, paused: bool = True) -> bool:
        with self._shared.lock:
            found = self._shared.queues.get(queue)
            if found is None:
                return False
            found.paused = paused
            self._shared.changed.notify_all()
            return True

    def paused(self) -> list[str]:
        with self._shared.lock:
            return [name for name, queue in self._shared.queues.items() if queue.paused]

    def declare(self, queue: QueueSpec) -> None:
        with self._shared.lock:
            if queue.name not in self._shared.queues:
                self._shared.queues[queue.name] = Queue(queue, self._clock())
                self._shared.moved()

    def delete(self, queue: str) -> int:
        with self._shared.lock:
            return self._shared.delete(queue)

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        with self._shared.lock:
            now, queues = self._clock(), self._shared.queues
            return [user.queue in queues and queues[user.queue].users.attend(user, now, seconds) for user in users]

    def leave(self, users: Sequence[User]) -> None:
        with self._shared.lock:
            for user in users:
                if user.queue in self._shared.queues:
                    self._shared.queues[user.queue].users.leave(user, self._clock())
            self._shared.changed.notify_all()

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        with self._shared.lock:
            now = self._clock()
            return {q: self._shared.queues[q].users.there(now) for q in queues if q in self._shared.queues}

    def expire_queues(self) -> list[str]:
        with self._shared.lock:
            now = self._clock()
            gone = [name for name, queue in self._shared.queues.items() if queue.users.gone_at <= now]
            for name in gone:
                self._shared.delete(name)
            return gone

    def topology(self) -> Topology:
        with self._shared.lock:
            return Topology(
                version=self._shared.version,
                exchanges=dict(self._shared.exchanges),
                queues={name: queue.spec for name, queue in self._shared.queues.items()},
                bindings=tuple(self._shared.bindings),
            )

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        with self._shared.lock:
            if exchange.name not in self._shared.exchanges:
                self._shared.exchanges[exchange.name] = exchange
                self._shared.moved()

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        with self._shared.lock:
            used = if_unused and any(binding.source == name for binding in self._shared.bindings)
            if used or self._shared.exchanges.pop(name, None) is None:
                return False
            self._shared.drop_bindings(lambda b: b.source == name or (b.to_exchange and b.destination == name))
            return True

    def bind(self, binding: BindingSpec) -> None:
        with self._shared.lock:
            if binding not in self._shared.bindings:
                self._shared.bindings.append(binding)
                self._shared.moved()

    def unbind(self, binding: BindingSpec) -> None:
        with self._shared.lock:
            if binding in self._shared.bindings:
                self._shared.bindings.remove(binding)
                self._shared.moved()


class Transport(VirtualTransport):
    """``memory://name``: the name, which may be empty, says which queues are shared."""

    driver_type = "memory"
    driver_name = "memory"

    def make_store(self) -> MemoryStore:
        return MemoryStore(self.address.hostname or "")


class Shared:
    """What all handles of one name share. ``lock`` guards it, ``changed`` wakes those who wait."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.queues: dict[str, Queue] = {}
        self.exchanges: dict[str, ExchangeSpec] = {}
        self.bindings: list[BindingSpec] = []
        self.version = 0
        self.clock: Callable[[], float] = time.monotonic
        self.handles: WeakSet[MemoryStore] = WeakSet()
        self.on_handle: Callable[[MemoryStore], None] | None = None
        """Called with each new handle."""
        self._waiting = 0

    def wait(self, timeout: float) -> None:
        self._waiting += 1
        try:
            self.changed.wait(timeout if timeout < math.inf else None)
        finally:
            self._waiting -= 1

    def moved(self) -> None:
        self.version = random.getrandbits(63)

    def drop_bindings(self, unwanted: Callable[[BindingSpec], bool]) -> None:
        self.bindings = [binding for binding in self.bindings if not unwanted(binding)]
        self.moved()

    def delete(self, queue: str) -> int:
        gone = self.queues.pop(queue, None)
        if gone is None:
            return 0
        self.drop_bindings(lambda b: not b.to_exchange and b.destination == queue)
        return gone.total

    def put(self, items: Sequence[tuple[str, Envelope]], now: float, version: int | None) -> None:
        if version is not None and version != self.version:
            raise TopologyMoved
        if len(items) == 1:
            [(name, envelope)] = items
            queue = self.queues.get(name)
            if queue is None or queue.refuses:
                queue = self._taking(name, items, now)
            queue.add(envelope, now)
        else:
            found = {name: self._taking(name, items, now) for name in {name for name, _ in items}}
            for name, envelope in items:
                found[name].add(envelope, now)
        if self._waiting:
            self.changed.notify_all()

    def _taking(self, name: str, items: Sequence[tuple[str, Envelope]], now: float) -> Queue:
        """The queue of this name, which is there and has room."""
        queue = self.queues.get(name)
        if queue is None:
            raise TopologyMoved
        if queue.refuses and not queue.has_room(items, now):
            raise QueueFull(name)
        return queue

    def next_due(self, queues: Sequence[str]) -> float:
        known = [self.queues[name] for name in queues if name in self.queues]
        return min((queue.next_due() for queue in known if not queue.paused), default=math.inf)

    def settle(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        answers = []
        for outcome in outcomes:
            if type(outcome) is Done:
                lease = outcome[0]
                queue = self.queues.get(lease[0])
                answers.append(queue is not None and queue.remove(lease) is not None)
            else:
                answers.append(self._put_back_or_move(outcome, now))
        return answers

    def _put_back_or_move(self, outcome: Outcome, now: float) -> bool:
        lease = outcome.lease
        queue = self.queues.get(lease.queue)
        if queue is None or not queue.holds(lease):
            return False
        match outcome:
            case Release(_, delay, counted):
                queue.release(lease, now, delay, counted)
                self.changed.notify_all()
            case Move(_, into):
                self.put(into, now, None)
                queue.remove(lease)
        return True

    def extend(self, lease: Lease, now: float, seconds: float) -> bool:
        queue = self.queues.get(lease.queue)
        return queue is not None and queue.extend(lease, now, seconds)


_registry: dict[str, Shared] = {}
_registry_lock = threading.Lock()


def shared_queues(name: str) -> Shared:
    """What all handles of this name share, from the first one on."""
    with _registry_lock:
        return _registry.setdefault(name, Shared())


def _after_fork() -> None:
    """Another thread of the parent may have held a lock: the child, which has a copy of all queues, gets new ones."""
    global _registry_lock
    _registry_lock = threading.Lock()
    for shared in _registry.values():
        shared.lock = threading.RLock()
        shared.changed = threading.Condition(shared.lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
