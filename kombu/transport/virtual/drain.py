"""The drain: claims ahead for all consumers of a connection, hands out one message at a time, fairly.

Queues take turns, and so do the consumers of one queue. What was claimed and not yet handed out waits in a
buffer of its queue, so cancelling one consumer takes nothing from the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field

from kombu.exceptions import ConnectionError, KombuError, NotFound, OperationalError
from kombu.transport.base import CancelCallback
from kombu.transport.virtual.deadletter import may_refuse
from kombu.transport.virtual.deadline import Deadline
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import Delivery, Outcome, QueueSpec, Release, Store, User

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Flow:
    """What all consumers of a channel have in common: ``unsettled`` is how many messages they hold, which
    ``together`` may bound; without ``active`` they get none."""

    active: bool = True
    together: int | None = None
    unsettled: Sized = ()


@dataclass(slots=True, eq=False)
class Subscription:
    """One consumer: ``hand`` passes a delivery on; ``held`` are the messages it holds, ``limit`` of them at most."""

    user: User
    tag: str
    hand: Callable[[Delivery], None]
    limit: int
    held: Sized
    flow: Flow
    on_cancel: CancelCallback | None = None

    @property
    def queue(self) -> str:
        return self.user.queue

    def free(self) -> int:
        """How many more it may hold."""
        flow, free = self.flow, self.limit - len(self.held)
        if not flow.active:
            return 0
        return free if flow.together is None else min(free, flow.together - len(flow.unsettled))


@dataclass(slots=True, eq=False)
class _Line:
    """A queue with consumers: who takes turns, and what is waiting for them.

    ``single``: only one consumer of all connections is active at a time; ``active`` says which. ``may_refuse``: there
    are other reasons than their age not to deliver its messages.
    """

    queue: str
    single: bool
    may_refuse: bool
    active: User | None = None
    consumers: deque[Subscription] = field(default_factory=deque)
    waiting: deque[Delivery] = field(default_factory=deque)

    def free(self) -> int:
        return sum(consumer.free() for consumer in self.serving()) - len(self.waiting)

    def serving(self) -> Sequence[Subscription]:
        if not self.single:
            return self.consumers
        return [consumer for consumer in self.consumers if consumer.user == self.active]

    def next_consumer(self) -> Subscription | None:
        consumers = self.consumers
        if len(consumers) == 1 and not self.single:
            consumer = consumers[0]
            return consumer if consumer.free() > 0 else None
        for _ in range(len(consumers)):
            consumers.rotate(-1)
            consumer = consumers[-1]
            if consumer.free() > 0 and (not self.single or consumer.user == self.active):
                return consumer
        return None


class Drain:
    """The consumers of one connection. ``refusal`` says what is to become of a message that must not be delivered,
    ``housekeeping(queues)`` does what has to be done now and then, and answers which of these queues are gone."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        refusal: Callable[[Delivery], Outcome | None],
        housekeeping: Callable[[Sequence[str]], list[str]],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._refusal = refusal
        self._housekeeping = housekeeping
        self._claimed: deque[Delivery] = deque()
        self._kept_house = 0.0
        self._found_nothing = 0.0
        self._lines: dict[str, _Line] = {}
        self._turns: deque[_Line] = deque()
        self._interrupted = False
        self._closed = False
        self.full = False
        self._stirred = threading.Event()

    def interrupt(self) -> None:
        """From any thread: let :meth:`run` raise ``TimeoutError`` now, or when it is called next."""
        self._interrupted = True
        self._stirred.set()
        self._store.wake()

    def stir(self) -> None:
        """From any thread: a consumer may hold more than before; matters while the drain is ``full``."""
        self._stirred.set()

    def subscribe(self, subscription: Subscription, queue: QueueSpec) -> None:
        line = self._lines.get(queue.name)
        if line is None:
            line = self._lines[queue.name] = _Line(queue.name, queue.single_active, may_refuse(queue))
            self._turns.append(line)
        line.consumers.append(subscription)
        self._choose([line])

    def unsubscribe(self, subscription: Subscription) -> None:
        """End one consumer; what waits goes to the queue's other consumers, or back if there are none."""
        line = self._lines.get(subscription.queue)
        if line is None or subscription not in line.consumers:
            return  # it ended before, with its queue
        line.consumers.remove(subscription)
        if not line.consumers:
            self._close_line(line)
            self._ledger.flush()

    def give_back(self) -> None:
        """Give back what waits for consumers that take nothing for now."""
        for line in self._turns:
            if not any(consumer.free() > 0 for consumer in line.serving()):
                self._release(line)
        self._ledger.flush()

    @property
    def queues(self) -> list[str]:
        """The queues that have consumers."""
        return list(self._lines)

    def close(self) -> None:
        """Give back what was claimed and not sorted yet; draining ends here."""
        self._closed = True
        while self._claimed:
            self._ledger.settle(Release(self._claimed.popleft().lease, counted=False))

    def consumers(self, queue: str) -> int:
        line = self._lines.get(queue)
        return len(line.consumers) if line else 0

    def run(self, timeout: float | None = None) -> None:
        """Hand out one message; raises ``TimeoutError`` when none came within ``timeout`` seconds."""
        if self._hand_one():
            return
        now = time.monotonic()
        deadline = None if timeout is None else now + timeout
        look = timeout == 0 or now - self._found_nothing > _A_MOMENT
        while True:
            if self._closed and not self._interrupted:
                raise ConnectionError("this connection is closed")
            with Deadline(None if timeout is None else timeout + _PATIENCE):
                found = self._look(look)
            if found:
                if self._hand_one():
                    return
                continue
            if self._interrupted:
                self._interrupted = False
                raise TimeoutError("interrupted")
            remaining = _MOST_WAIT if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no message within {timeout} seconds")
            with Deadline(None if timeout is None else remaining + _PATIENCE):
                self._wait(min(remaining, _MOST_WAIT))
            look = True
            if self._hand_one():
                return

    def _look(self, claim: bool) -> bool:
        """Write what is owed, and see whether there may be something to hand out now."""
        self._ledger.flush()
        return not self._closed and (self._sort() or self._keep_house() or (claim and self._claim()))

    def _hand_one(self) -> bool:
        turns, held = self._turns, self._ledger.held
        for line in turns:
            while line.waiting and (consumer := line.next_consumer()) is not None:
                delivery = line.waiting.popleft()
                if delivery[0] in held:
                    if turns[-1] is not line:
                        turns.rotate(-1 - turns.index(line))
                    consumer.hand(delivery)
                    return True
        return False

    def _claim(self) -> bool:
        wants = {line.queue: free for line in self._turns if (free := line.free()) > 0}
        if not wants:
            return False
        found = self._store.claim(wants, self._ledger.lease)
        if not found:
            self._found_nothing = time.monotonic()
        return self._take(found)

    def _keep_house(self) -> bool:
        """Once in a while: end the consumers of queues that are gone, and refuse what has expired in any queue, so
        that it is dead-lettered where nobody consumes, too."""
        if time.monotonic() - self._kept_house < max(_KEEP_HOUSE_EVERY, self._store.capabilities.housekeeping):
            return False
        self._kept_house = time.monotonic()
        self._end(self._housekeeping(self.queues))
        self._choose(self._turns)
        return self._take(self._store.sweep(self._store.capabilities.max_batch, self._ledger.lease))

    def _end(self, gone: Sequence[str]) -> None:
        """The consumers of these queues have ended: each is told, or the caller is."""
        ended = [consumer for queue in gone for consumer in self._lines[queue].consumers]
        for queue in gone:
            self._close_line(self._lines[queue])
        for consumer in ended:
            if consumer.on_cancel is not None:
                consumer.on_cancel(consumer.tag)
        if untold := {consumer.queue for consumer in ended if consumer.on_cancel is None}:
            raise NotFound(f"deleted under its consumers, which have ended: queue {', '.join(map(repr, untold))}")

    def _choose(self, lines: Sequence[_Line] | deque[_Line]) -> None:
        """Who is active is the consumer that came first, of any connection."""
        single = [line for line in lines if line.single]
        if not single:
            return
        users = self._ledger.attendance.of([line.queue for line in single])
        for line in single:
            line.active = next((user for user in users.get(line.queue, ()) if user.consumer), None)
            if not line.serving():
                self._release(line)

    def _take(self, deliveries: list[Delivery]) -> bool:
        if not deliveries:
            return False
        self._ledger.hold(deliveries)
        self._claimed.extend(deliveries)
        return self._sort()

    def _sort(self) -> bool:
        """Refuse what was claimed, or let it wait for its consumer; what an error leaves is sorted the next time."""
        claimed, lines = self._claimed, self._lines
        sorted_any = bool(claimed)
        while claimed:
            delivery = claimed[0]
            line = lines.get(delivery[0][0])
            if line is None or line.may_refuse or delivery[5]:
                self._sort_out(line)
            else:
                line.waiting.append(claimed.popleft())
        return sorted_any

    def _sort_out(self, line: _Line | None) -> None:
        """The first that was claimed, which may have to be refused or has nobody to wait for."""
        refusal = self._refused(self._claimed[0])
        delivery = self._claimed.popleft()
        if refusal is not None:
            self._ledger.settle(refusal)
        elif line is None:
            self._ledger.settle(Release(delivery.lease, counted=False))
        else:
            line.waiting.append(delivery)

    def _refused(self, delivery: Delivery) -> Outcome | None:
        """An error of the store is raised, to be tried again; any other sets only this message aside for a while."""
        try:
            return self._refusal(delivery)
        except OperationalError:
            raise
        except KombuError:
            lease = delivery.lease
            logger.exception("message %s of queue %r can be neither delivered nor refused", lease.id, lease.queue)
            return Release(lease, delay=self._ledger.lease)

    def _close_line(self, line: _Line) -> None:
        del self._lines[line.queue]
        self._turns.remove(line)
        self._release(line)

    def _release(self, line: _Line) -> None:
        while line.waiting:
            self._ledger.settle(Release(line.waiting.popleft().lease, counted=False))

    def _wait(self, seconds: float) -> None:
        hungry = [line.queue for line in self._turns if line.free() > 0]
        if hungry:
            self._store.wait(hungry, seconds)
            return
        self.full = True
        try:
            if not any(line.free() > 0 for line in self._turns) and not self._interrupted:
                self._stirred.wait(seconds)
        finally:
            self.full = False
            self._stirred.clear()


_KEEP_HOUSE_EVERY = 1.0
"""Seconds between looks for messages whose time to live is over and queues that are gone."""

_A_MOMENT = 0.005
"""Seconds in which a drain that found nothing is not begun anew with the same question, but by waiting."""

_PATIENCE = 5.0
"""Seconds that a store may need beyond what the caller wants to wait: what it has claimed by then would have to wait
for the end of its lease, if it were not heard."""

_MOST_WAIT = 1.0
"""Seconds after which the store is asked again in any case: a store's ``wait`` is only a hint."""
