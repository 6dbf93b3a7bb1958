"""Promises under races: real threads, a handle each, all starting at the same moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message, numbered
from kombu.transport.virtual.store import Counts, Delivery, Done, Lease, Move, Outcome, QueueSpec, Store

THREADS = 4
ROUNDS = 10


class RaceConformance(StoreCase):
    """Several claimers, putters and declarers at once."""

    def test_a_message_is_claimed_by_exactly_one_of_two_handles(self) -> None:
        claims = [self.claim_by(self.handle()) for _ in range(2)]
        for text in numbered(ROUNDS):
            self.put(text)
            claimed = [delivery for answer in self.at_once(claims) for delivery in answer]
            assert bodies(claimed or self.take(1)) == [text]

    def test_a_lease_that_ran_out_passes_to_exactly_one_claimer(self) -> None:
        self.put("a")
        self.take_one(lease=self.brief)
        claims = [self.claim_by(self.handle()) for _ in range(THREADS)]
        self.eventually(lambda: self.counts().ready)
        claimed = [delivery for answer in self.at_once(claims) for delivery in answer]
        assert [delivery.delivery_count for delivery in claimed or self.take(1)] == [2]

    def test_many_consumers_see_every_message_exactly_once(self) -> None:
        seen: list[str] = []
        self.put(*numbered(500))
        self.at_once([self.consume_by(self.handle(), seen, 500) for _ in range(THREADS)])
        assert Counter(seen) == Counter(numbered(500))
        assert self.counts() == Counts()

    def test_consumers_miss_nothing_that_is_put_while_they_consume(self) -> None:
        seen: list[str] = []
        self.declare(QUEUE)
        putting = [self.put_by(self.handle(), name, 50) for name in ("a", "b")]
        consuming = [self.consume_by(self.handle(), seen, 100) for _ in range(2)]
        self.at_once(putting + consuming)
        assert Counter(seen) == Counter(f"{name}{text}" for name in ("a", "b") for text in numbered(50))
        assert self.counts() == Counts()

    def test_concurrent_puts_lose_nothing_and_keep_the_order_of_each_putter(self) -> None:
        self.declare(QUEUE)
        self.at_once([self.put_by(self.handle(), name, 50) for name in ("a", "b", "c", "d")])
        found = bodies(self.take(200))
        for name in ("a", "b", "c", "d"):
            assert [text for text in found if text.startswith(name)] == [name + n for n in numbered(50)]
        assert self.counts().ready == 0

    def test_one_queue_may_be_declared_by_many_at_once(self) -> None:
        handles = [self.handle() for _ in range(THREADS)]
        for name in numbered(ROUNDS):
            self.at_once([partial(handle.declare, QueueSpec(name=name)) for handle in handles])
            self.put("a", queue=name)
            assert self.counts(name).total == 1

    def test_another_thread_extends_and_settles_what_this_one_claimed(self) -> None:
        self.put("a", "b")
        a, b = (delivery.lease for delivery in self.take(2))
        extend, settle = partial(self.store.extend, [a], LEASE), partial(self.store.settle, [Done(b)])
        [[extended]] = self.at_once([extend])
        assert extended is not None
        assert self.at_once([settle]) == [[True]]
        assert self.at_once([partial(self.store.settle, [Done(extended)])]) == [[True]]
        assert self.counts().total == 0

    def test_a_keeper_extends_while_the_consumer_goes_on(self) -> None:
        self.put("held")
        kept, seen = [self.take_one().lease], list[str]()
        self.put(*numbered(100))
        self.at_once([self.consume_by(self.store, seen, 100), self.keep(kept, 50)])
        assert sorted(seen) == numbered(100)
        assert self.counts().leased == 1
        assert self.store.settle([Done(kept[-1])]) == [True]

    def test_of_two_that_move_one_message_exactly_one_does(self) -> None:
        self.declare("dead")
        for so_far, text in enumerate(numbered(ROUNDS), start=1):
            self.put(text)
            move: list[Outcome] = [Move(self.take_one().lease, (("dead", message(text)),))]
            answers = self.at_once([partial(self.store.settle, move)] * 2)
            assert sorted(answers) == [[False], [True]]
            assert (self.counts("dead").total, self.counts().total) == (so_far, 0)

    def test_a_late_settler_and_a_new_claimer_do_not_both_have_the_message(self) -> None:
        claim = self.claim_by(self.handle())
        for text in numbered(ROUNDS):
            self.put(text, queue=QUEUE)
            late = self.take_one(lease=self.brief / 3).lease
            self.eventually(lambda: self.counts().ready)
            settled, claimed = self.at_once([self.settle_late(late), lambda: len(claim())])
            assert settled + claimed == 1

    def settle_late(self, lease: Lease) -> Callable[[], int]:
        return lambda: sum(self.store.settle([Done(lease)]))

    def claim_by(self, store: Store) -> Callable[[], list[Delivery]]:
        return partial(store.claim, {QUEUE: 1}, LEASE)

    def put_by(self, store: Store, name: str, count: int) -> Callable[[], None]:
        """Store so many messages one by one."""

        def put() -> None:
            for text in numbered(count):
                store.put([(QUEUE, message(name + text))])

        return put

    def consume_by(self, store: Store, seen: list[str], total: int) -> Callable[[], None]:
        """Claim in small batches and settle them until all who note what they have ``seen`` saw ``total``."""

        def consume() -> None:
            deadline = time.monotonic() + self.patience
            while len(seen) < total and time.monotonic() < deadline:
                deliveries = store.claim({QUEUE: 7}, LEASE)
                assert all(store.settle([Done(delivery.lease) for delivery in deliveries]))
                seen.extend(bodies(deliveries))
                if not deliveries:
                    store.wait([QUEUE], self.brief / 3)

        return consume

    def keep(self, kept: list[Lease], times: int) -> Callable[[], None]:
        """Extend the last of the leases again and again, as a connection's keeper does."""

        def keep() -> None:
            for _ in range(times):
                [extended] = self.store.extend(kept[-1:], LEASE)
                assert extended is not None
                kept.append(extended)

        return keep
