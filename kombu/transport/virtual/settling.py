"""Outcomes gather and go to the store in batches; the keeper renews what is still held.

One ledger belongs to each connection: it knows every lease the connection holds and every outcome that is
still to be written. One thread, the keeper, lives beside it and does two things while the program is busy in
a handler: it renews the leases at a third of their time, and writes outcomes that have waited for
``settle_delay`` seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

from kombu.exceptions import ConnectionError, KombuError
from kombu.transport.virtual.attending import Attendance
from kombu.transport.virtual.store import (
    Delivery,
    Lease,
    Move,
    Outcome,
    QueueFull,
    Release,
    Store,
    TopologyMoved,
    User,
)

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_lease = itemgetter(0)
"""What every delivery and every outcome begins with."""

_RETRY = 0.5
"""Seconds until the keeper tries again what the store refused."""


class Ledger:
    """The leases a connection holds and the outcomes it owes; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        lease: float,
        settle_delay: float,
        on_topology_moved: Callable[[], object] = lambda: None,
        attendance: Attendance | None = None,
    ) -> None:
        self.store = store
        self.attendance = attendance or Attendance(store, lease)
        self._on_topology_moved = on_topology_moved
        self.lease = lease
        self.settle_delay = settle_delay
        self.held: set[Lease] = set()
        self._written: set[Lease] = set()
        """Whose outcomes the store is being told: it may have forgotten them already."""
        self.ending = False
        """The connection is being closed: what is owed is tried once, and not again where the store is away."""
        self.given_up = False
        self._owed: deque[Outcome] = deque()
        self._owed_since = 0.0
        self._state = threading.Lock()
        self._writing = threading.RLock()
        self._keeper = _Keeper(self)

    def hold(self, deliveries: Iterable[Delivery]) -> None:
        """Renew these leases from now on, until they are settled or lost."""
        with self._state:
            self.held.update(map(_lease, deliveries))
        self._keeper.wake_to_renew()

    def attend(self, user: User) -> None:
        """Use a queue, and say so again and again, until the attendance is left."""
        self.attendance.enter(user)
        if self.attendance.kept:
            self._keeper.wake_to_renew()

    def holds(self, lease: Lease) -> bool:
        """False once the lease was lost to another consumer or given up."""
        return lease in self.held

    def forget(self, lease: Lease) -> None:
        """The message is settled otherwise: stop renewing."""
        with self._state:
            self.held.discard(lease)

    def settle(self, outcome: Outcome) -> None:
        """Owe this outcome; written with the next batch, at once where ``settle_delay`` is 0."""
        if not self._owed:
            self._owed_since = time.monotonic()
        self._owed.append(outcome)
        if self.settle_delay <= 0:
            self.flush()
        elif not self._keeper.waiting_for_writes:
            self._keeper.wake_to_write()

    def flush(self) -> None:
        """Write all that is owed. What the store does not take stays owed, and its error is raised."""
        with self._writing:
            if self.given_up:
                return
            owed = [self._owed.popleft() for _ in range(len(self._owed))]
            written = 0
            try:
                for batch in _writable(owed, self.store.capabilities.max_batch):
                    self._write(batch)
                    written += len(batch)
            except ConnectionError:
                self.away()
                raise
            finally:
                if written < len(owed):
                    self._owed.extendleft(reversed(owed[written:]))

    def renew(self) -> None:
        """Extend every lease that is held and forget those that are lost; say who is still there."""
        self.attendance.renew()
        with self._state:
            held = list(self.held)
        for batch in _batches(held, self.store.capabilities.max_batch):
            for lease, extended in zip(batch, self.store.extend(batch, self.lease), strict=True):
                if extended is None and self._is_lost(lease):
                    logger.warning("lease lost: message %s of queue %r is another consumer's", lease.id, lease.queue)
                    self.forget(lease)

    def overdue(self) -> float | None:
        """Seconds until the oldest outcome must be written; None when nothing is owed."""
        return self._owed_since + self.settle_delay - time.monotonic() if self._owed else None

    @property
    def holding(self) -> bool:
        return bool(self.held) or self.attendance.present

    def away(self) -> None:
        """The store is. While the connection ends that is found out once: each time may take as long as the store is
        waited for."""
        self.given_up = self.ending

    def close(self) -> None:
        """End the keeper and write what is owed."""
        self._keeper.stop()
        self.flush()

    def _is_lost(self, lease: Lease) -> bool:
        """What the store does not know any more: unless it was settled meanwhile."""
        with self._state:
            return lease in self.held and lease not in self._written

    def _write(self, batch: list[Outcome]) -> None:
        with self._state:
            self._written = set(map(_lease, batch))
        try:
            answers = [self._move(batch[0])] if isinstance(batch[0], Move) else self.store.settle(batch)
        except BaseException:
            self._written = set()
            raise
        if not all(answers):
            for outcome, answer in zip(batch, answers, strict=True):
                if not answer and outcome.lease in self.held:
                    lease = outcome.lease
                    logger.warning("lost before settling: message %s of queue %r", lease.id, lease.queue)
        with self._state:
            self.held.difference_update(self._written)
            self._written = set()

    def _move(self, move: Move) -> bool:
        """Where the new place is gone or full the message stays, to be moved by the topology as it is then."""
        try:
            return self.store.settle([move])[0]
        except (TopologyMoved, QueueFull) as exc:
            lease = move.lease
            logger.warning("message %s cannot be moved and stays in %r: %r", lease.id, lease.queue, exc)
            self._on_topology_moved()
            return self.store.settle([Release(lease, delay=self.lease)])[0]


class _Keeper:
    """The thread beside a ledger: started when first needed, waiting without a timeout while idle."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.waiting_for_writes = False
        self._renew_at: float | None = None

    def wake_to_renew(self) -> None:
        if self._renew_at is None:
            self.wake_up()

    def wake_to_write(self) -> None:
        with self._wake:
            self.waiting_for_writes = True  # already: until the thread gets its turn many more may be owed
            self.wake_up()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def wake_up(self) -> None:
        with self._wake:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="kombu-keeper", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._stopped:
                    self._wake.wait(self._pause())
                if self._stopped:
                    return
            for work in (self._write_overdue, self._renew_due):
                if not self._stopped:
                    self._attempt(work)

    def _pause(self) -> float | None:
        # Each mark is taken back before the ledger is looked at: who adds to it in between sees that and wakes us.
        self.waiting_for_writes = False
        overdue = self._ledger.overdue()
        self.waiting_for_writes = overdue is not None
        if not self._ledger.holding:
            self._renew_at = None
        if self._ledger.holding and self._renew_at is None:
            self._renew_at = time.monotonic() + self._ledger.lease / 3
        renew = None if self._renew_at is None else self._renew_at - time.monotonic()
        due = [seconds for seconds in (overdue, renew) if seconds is not None]
        return max(min(due), 0.0) if due else None

    def _write_overdue(self) -> None:
        overdue = self._ledger.overdue()
        if overdue is not None and overdue <= 0:
            self._ledger.flush()

    def _renew_due(self) -> None:
        if self._renew_at is not None and self._renew_at <= time.monotonic():
            self._ledger.renew()
            self._renew_at = None

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:
            logger.warning("the keeper is trying again in %.1f s: %s", _RETRY, exc, exc_info=not _expected(exc))
            with self._wake:
                self._wake.wait_for(lambda: self._stopped, timeout=min(_RETRY, self._ledger.lease / 10))


def _expected(exc: Exception) -> bool:
    return isinstance(exc, KombuError)


def _writable(owed: list[Outcome], size: int) -> Iterator[list[Outcome]]:
    """In their order: each move by itself, so that one which fails takes nothing with it; the others in batches."""
    if Move not in map(type, owed):
        yield from _batches(owed, size)
        return
    for moves, group in groupby(owed, key=lambda outcome: isinstance(outcome, Move)):
        yield from _batches(list(group), 1 if moves else size)


def _batches(items: list[_T], size: int) -> Iterable[list[_T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
