"""What the conformance classes stand on: handles that get closed, short ways to say things, and threads."""

from __future__ import annotations

import json
import threading
import time
import unittest
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from kombu.transport.virtual.store import Counts, Delivery, Done, Envelope, Lease, QueueSpec, Release, Store

T = TypeVar("T")

QUEUE = "orders"
CLOCK = "clock"
LEASE = 60.0
"""Seconds; longer than any test."""

HOSTILE_NAMES = (
    "it's",
    'say "hello"',
    "50% of %s and %(name)s",
    "x'; DROP TABLE kombu_message; --",
    "back\\slash",
    "{brace} [bracket] *star* #hash ?mark",
    "a:b/c.d,e|f",
    "line\nbreak and\ttab",
    "größe 注文 заказ",
    "📦🚚",
    "n" * 255,
)
"""Names that AMQP allows and careless storage does not survive."""

ALIKE_NAMES = ("cafe", "Cafe", "caf\u00e9", "cafe\u0301", "cafe ", " cafe")
"""Different names that some collations take for one."""


class StoreCase:
    """A test of one store; ``open_store`` is what the subclass has to say.

    ``brief`` is how long short leases, delays and lives last, in seconds: raise it for a backend that counts
    in whole seconds. ``patience`` is how long anything may take before it counts as failed.
    """

    brief: float = 0.15
    patience: float = 10.0

    _handles: list[Store]

    def open_store(self) -> Store:
        """An open handle on this test's own backing, empty at first; the suite closes it.

        Called again, a second handle on the same backing, as another process would hold one.
        """
        raise NotImplementedError

    def setup_method(self) -> None:
        self._handles = []

    def teardown_method(self) -> None:
        while self._handles:
            self._handles.pop().close()

    @cached_property
    def store(self) -> Store:
        """The handle that most tests use."""
        return self.handle()

    @property
    def long_delay(self) -> float:
        """Seconds; longer than any test, and no longer than the store can."""
        return min(3600.0, self.store.capabilities.max_delay or 3600.0)

    def handle(self) -> Store:
        """One more handle, closed when the test ends."""
        store = self.open_store()
        self._handles.append(store)
        return store

    def close(self, store: Store) -> None:
        """Close a handle before the test ends."""
        self._handles = [handle for handle in self._handles if handle is not store]
        store.close()

    def declare(self, *queues: str) -> None:
        for queue in queues:
            self.store.declare(QueueSpec(name=queue))

    def put(self, *texts: str, queue: str = QUEUE, delay: float = 0.0, ttl: float | None = None) -> None:
        """Declare the queue and store one message for each text, in batches as large as the store takes."""
        self.declare(queue)
        self.put_all((queue, message(text, delay=delay, ttl=ttl)) for text in texts)

    def put_all(self, items: Iterable[tuple[str, Envelope]]) -> None:
        """Store the items in batches as large as the store takes."""
        waiting, size = list(items), self.store.capabilities.max_batch
        for start in range(0, len(waiting), size):
            self.store.put(waiting[start : start + size])

    def claim(self, limit: int = 10, *, queue: str = QUEUE, lease: float = LEASE) -> list[Delivery]:
        """What one claim answers."""
        return self.store.claim({queue: limit}, lease)

    def take(self, count: int = 1, *, queue: str = QUEUE, lease: float = LEASE) -> list[Delivery]:
        """Claim until there are as many; a claim may answer fewer than there are."""
        taken: list[Delivery] = []

        def complete() -> bool:
            taken.extend(self.claim(count - len(taken), queue=queue, lease=lease))
            return len(taken) >= count

        self.eventually(complete, queue)
        return taken

    def take_one(self, *, queue: str = QUEUE, lease: float = LEASE) -> Delivery:
        return self.take(1, queue=queue, lease=lease)[0]

    def lose_lease(self, *, queue: str = QUEUE) -> tuple[Lease, Delivery]:
        """Claim a message twice: the lease that was lost by that, and the delivery that holds it now."""
        lost = self.take_one(queue=queue).lease
        assert self.store.settle([Release(lost)]) == [True]
        return lost, self.take_one(queue=queue)

    def counts(self, queue: str = QUEUE) -> Counts:
        return self.store.counts([queue])[queue]

    def eventually(self, look: Callable[[], T], queue: str = QUEUE) -> T:
        """What ``look`` answers once it is something; the store's own ``wait`` lies between two looks."""
        deadline = time.monotonic() + self.patience
        while not (found := look()):
            assert time.monotonic() < deadline, f"nothing came of it in {self.patience} s"
            self.store.wait([queue], self.brief / 3)
        return found

    def let_pass(self, seconds: float) -> None:
        """Return when so many seconds have passed by the store's own clock, which a delayed message tells."""
        self.put("tick", queue=CLOCK, delay=seconds)
        tick = self.take_one(queue=CLOCK)
        assert self.store.settle([Done(tick.lease)]) == [True]

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return in_threads(calls, self.patience)


def message(
    text: str, *, priority: int = 0, delay: float = 0.0, ttl: float | None = None, body: bytes | None = None
) -> Envelope:
    """A small message that says ``text``, in its head and, unless there is another, in its body."""
    return Envelope(
        head=json.dumps({"text": text}),
        body=text.encode() if body is None else body,
        priority=priority,
        delay=delay,
        ttl=ttl,
    )


def bodies(deliveries: Iterable[Delivery]) -> list[str]:
    """What the messages say."""
    return [delivery.body.decode() for delivery in deliveries]


def numbered(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


def needs(condition: bool, what: str) -> None:
    """Skip the test where the store's capabilities leave ``what`` out."""
    if not condition:
        raise unittest.SkipTest(f"this store has no {what}")


@contextmanager
def raises(*expected: type[Exception]) -> Iterator[None]:
    """Fail unless the block raises one of these."""
    try:
        yield
    except expected:
        return
    raise AssertionError(f"none of {[error.__name__ for error in expected]} was raised")


def in_threads(calls: Sequence[Callable[[], T]], patience: float = StoreCase.patience) -> list[T]:
    """Start all calls at the same moment, each in its own thread; answer what they answer, in order.

    What a call raises is raised here; a call that runs for more than ``patience`` seconds fails the test.
    """
    barrier = threading.Barrier(len(calls))
    futures: list[Future[T]] = [Future() for _ in calls]
    for call, future in zip(calls, futures, strict=True):
        threading.Thread(target=_run, args=(call, future, barrier), daemon=True).start()
    _, late = wait_for(futures, timeout=patience)
    assert not late, f"{len(late)} of {len(calls)} threads still run after {patience} s"
    return [future.result() for future in futures]


def _run(call: Callable[[], T], future: Future[T], barrier: threading.Barrier) -> None:
    try:
        barrier.wait()
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001 - the future hands it to the test
        future.set_exception(error)
