"""The drain: claims ahead for all consumers of a connection, hands out one message at a time, fairly.

Queues take turns, and so do the consumers of one queue. What was claimed and not yet handed out waits in a
buffer of its queue, so cancelling one consumer takes nothing from the others.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kombu.exceptions import KombuError, NotFound, OperationalError
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import Delivery, Outcome, Release, Store

logger = logging.getLogger(__name__)

Hand = Callable[["Subscription", Delivery], None]


@dataclass(slots=True, eq=False)
class Subscription:
    """One consumer: ``hand`` passes a delivery on, ``free`` says how many more it may hold."""

    tag: str
    queue: str
    hand: Hand
    free: Callable[[], int]


@dataclass(slots=True)
class _Line:
    """A queue with consumers: who takes turns, and what is waiting for them."""

    consumers: deque[Subscription] = field(default_factory=deque)
    waiting: deque[Delivery] = field(default_factory=deque)

    def free(self) -> int:
        return sum(consumer.free() for consumer in self.consumers) - len(self.waiting)

    def next_consumer(self) -> Subscription | None:
        for _ in range(len(self.consumers)):
            consumer = self.consumers[0]
            self.consumers.rotate(-1)
            if consumer.free() > 0:
                return consumer
        return None


class Drain:
    """The consumers of one connection. ``refusal`` says what is to become of a message that must not be delivered,
    ``missing`` which queues do not exist any more."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        refusal: Callable[[Delivery], Outcome | None],
        missing: Callable[[Sequence[str]], list[str]],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._refusal = refusal
        self._missing = missing
        self._claimed: deque[Delivery] = deque()
        self._kept_house = 0.0
        self._lines: dict[str, _Line] = {}
        self._turns: deque[str] = deque()
        self._interrupted = False

    def interrupt(self) -> None:
        """From any thread: let :meth:`run` raise ``TimeoutError`` now, or when it is called next."""
        self._interrupted = True
        self._store.wake()

    def subscribe(self, subscription: Subscription) -> None:
        line = self._lines.get(subscription.queue)
        if line is None:
            line = self._lines[subscription.queue] = _Line()
            self._turns.append(subscription.queue)
        line.consumers.append(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End one consumer; what waits goes to the queue's other consumers, or back if there are none."""
        line = self._lines.get(subscription.queue)
        if line is None or subscription not in line.consumers:
            return  # it ended before, with its queue
        line.consumers.remove(subscription)
        if not line.consumers:
            self._close_line(subscription.queue)
            self._ledger.flush()

    @property
    def queues(self) -> list[str]:
        """The queues that have consumers."""
        return list(self._turns)

    def close(self) -> None:
        """Give back what was claimed and not sorted yet."""
        while self._claimed:
            self._ledger.settle(Release(self._claimed.popleft().lease, counted=False))

    def consumers(self, queue: str) -> int:
        line = self._lines.get(queue)
        return len(line.consumers) if line else 0

    def run(self, timeout: float | None) -> None:
        """Hand out one message; raises ``TimeoutError`` when none came within ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._hand_one():
            self._ledger.flush()
            if self._sort() or self._keep_house() or self._claim():
                continue
            if self._interrupted:
                self._interrupted = False
                raise TimeoutError("interrupted")
            remaining = _MOST_WAIT if deadline is None else deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no message within {timeout} seconds")
            self._wait(min(remaining, _MOST_WAIT))

    def _hand_one(self) -> bool:
        for _ in range(len(self._turns)):
            queue = self._turns[0]
            self._turns.rotate(-1)
            line = self._lines[queue]
            while line.waiting and (consumer := line.next_consumer()) is not None:
                delivery = line.waiting.popleft()
                if self._ledger.holds(delivery.lease):
                    consumer.hand(consumer, delivery)
                    return True
        return False

    def _claim(self) -> bool:
        wants = {queue: free for queue in self._turns if (free := self._lines[queue].free()) > 0}
        if not wants:
            return False
        return self._take(self._store.claim(wants, self._ledger.lease))

    def _keep_house(self) -> bool:
        """Once in a while: end the consumers of queues that are gone, and refuse what has expired in any queue, so
        that it is dead-lettered where nobody consumes, too."""
        if time.monotonic() - self._kept_house < _KEEP_HOUSE_EVERY:
            return False
        self._kept_house = time.monotonic()
        if gone := self._missing(self.queues):
            for queue in gone:
                self._close_line(queue)
            raise NotFound(f"deleted under its consumers, which have ended: queue {', '.join(map(repr, gone))}")
        return self._take(self._store.sweep(self._store.capabilities.max_batch, self._ledger.lease))

    def _take(self, deliveries: list[Delivery]) -> bool:
        self._ledger.hold(deliveries)
        self._claimed.extend(deliveries)
        return self._sort()

    def _sort(self) -> bool:
        """Refuse what was claimed, or let it wait for its consumer; what an error leaves is sorted the next time."""
        sorted_any = bool(self._claimed)
        while self._claimed:
            delivery = self._claimed[0]
            refusal = self._refused(delivery)
            self._claimed.popleft()
            line = self._lines.get(delivery.lease.queue)
            if refusal is not None:
                self._ledger.settle(refusal)
            elif line is None:
                self._ledger.settle(Release(delivery.lease, counted=False))
            else:
                line.waiting.append(delivery)
        return sorted_any

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

    def _close_line(self, queue: str) -> None:
        line = self._lines.pop(queue)
        self._turns.remove(queue)
        for delivery in line.waiting:
            self._ledger.settle(Release(delivery.lease, counted=False))

    def _wait(self, seconds: float) -> None:
        hungry = [queue for queue in self._turns if self._lines[queue].free() > 0]
        if hungry:
            self._store.wait(hungry, seconds)
        else:
            time.sleep(seconds)


_KEEP_HOUSE_EVERY = 1.0
"""Seconds between looks for messages whose time to live is over and queues that are gone."""

_MOST_WAIT = 1.0
"""Seconds after which the store is asked again in any case: a store's ``wait`` is only a hint."""
