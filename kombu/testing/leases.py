"""Promises about leases: a claim counts, ends, can be extended, and belongs to its latest claimer only."""

from __future__ import annotations

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, numbered
from kombu.transport.virtual.store import Done, Release


class LeaseConformance(StoreCase):
    """Claims, their ends and their fences."""

    def test_a_leased_message_is_not_claimed_again(self) -> None:
        self.put("a")
        self.take_one()
        assert self.claim() == []
        assert self.handle().claim({QUEUE: 10}, LEASE) == []
        assert self.counts().leased == 1

    def test_the_first_claim_counts_one(self) -> None:
        self.put("a", "b")
        assert [delivery.delivery_count for delivery in self.take(2)] == [1, 1]

    def test_a_lease_that_ran_out_brings_the_message_back_with_a_new_token(self) -> None:
        self.put("a")
        first = self.take_one(lease=self.brief)
        second = self.take_one()
        assert second.body == first.body
        assert second.lease.token != first.lease.token
        assert second.age >= 0.9 * self.brief

    def test_every_claim_raises_the_delivery_count(self) -> None:
        self.put("a")
        assert [self.take_one(lease=self.brief).delivery_count for _ in range(3)] == [1, 2, 3]

    def test_another_handle_claims_what_a_dead_one_held(self) -> None:
        self.put("a")
        dead, alive = self.handle(), self.handle()
        assert self.eventually(lambda: dead.claim({QUEUE: 1}, self.brief))
        self.close(dead)
        [delivery] = self.eventually(lambda: alive.claim({QUEUE: 1}, LEASE))
        assert delivery.delivery_count == 2

    def test_a_lost_lease_settles_nothing(self) -> None:
        self.put("a")
        lost = self.take_one(lease=self.brief).lease
        held = self.take_one()
        assert self.store.settle([Done(lost)]) == [False]
        assert self.store.settle([Release(lost)]) == [False]
        assert self.counts().leased == 1
        assert self.store.settle([Done(held.lease)]) == [True]
        assert self.counts().total == 0

    def test_a_lease_lost_to_another_handle_settles_nothing(self) -> None:
        self.put("a")
        other = self.handle()
        lost = self.take_one(lease=self.brief).lease
        [held] = self.eventually(lambda: other.claim({QUEUE: 1}, LEASE))
        assert self.store.settle([Done(lost)]) == [False]
        assert self.store.extend([lost], LEASE) == [None]
        assert other.settle([Done(held.lease)]) == [True]

    def test_a_lost_lease_extends_nothing(self) -> None:
        self.put("a")
        lost = self.take_one(lease=self.brief).lease
        self.take_one(lease=self.brief)
        assert self.store.extend([lost], LEASE) == [None]
        assert self.take_one().delivery_count == 3

    def test_a_lease_that_ran_out_still_settles_until_another_claims(self) -> None:
        self.put("a")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready)
        assert self.store.settle([Done(late.lease)]) == [True]
        assert self.counts().total == 0

    def test_a_lease_that_ran_out_can_still_be_extended_until_another_claims(self) -> None:
        self.put("a")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready)
        [extended] = self.store.extend([late.lease], LEASE)
        assert extended is not None
        assert self.claim() == []
        assert self.counts().leased == 1

    def test_an_extended_lease_outlives_its_first_end(self) -> None:
        self.put("a")
        delivery = self.take_one(lease=2 * self.brief)
        [extended] = self.store.extend([delivery.lease], 3600.0)
        assert extended is not None
        self.let_pass(3 * self.brief)
        assert self.claim() == []
        assert self.store.settle([Done(extended)]) == [True]

    def test_a_lease_extended_for_a_moment_ends_after_it(self) -> None:
        self.put("a")
        delivery = self.take_one(lease=3600.0)
        assert None not in self.store.extend([delivery.lease], self.brief)
        assert self.take_one().delivery_count == 2

    def test_extending_does_not_count_as_a_claim(self) -> None:
        self.put("a")
        delivery = self.take_one()
        [extended] = self.store.extend([delivery.lease], LEASE)
        assert extended is not None
        assert self.store.settle([Release(extended)]) == [True]
        assert self.take_one().delivery_count == 2

    def test_extending_several_leases_answers_for_each_in_their_order(self) -> None:
        self.put("lost")
        lost, held = self.lose_lease()
        self.put("a", "gone", "b")
        a, gone, b = self.take(3)
        self.store.settle([Done(gone.lease)])
        answers = self.store.extend([a.lease, lost, b.lease, gone.lease, held.lease], LEASE)
        assert [answer and (answer.queue, answer.id) for answer in answers] == [
            (QUEUE, a.lease.id),
            None,
            (QUEUE, b.lease.id),
            None,
            (QUEUE, held.lease.id),
        ]
        kept = [Done(answer) for answer in answers if answer is not None]
        assert self.store.settle(kept) == [True, True, True]

    def test_extending_no_lease_is_fine(self) -> None:
        assert self.store.extend([], LEASE) == []

    def test_a_message_that_came_back_is_claimed_beside_new_ones(self) -> None:
        self.put(*numbered(3))
        self.take(3, lease=self.brief)
        self.put("new")
        self.eventually(lambda: self.counts().ready == 4)
        assert sorted(bodies(self.take(4))) == [*numbered(3), "new"]

    def test_a_delay_is_over_before_a_message_is_claimed(self) -> None:
        self.put("a", delay=self.brief)
        delivery = self.take_one()
        assert delivery.age >= 0.9 * self.brief
        assert delivery.delivery_count == 1

    def test_a_long_delay_keeps_a_message_away_and_counts_as_delayed(self) -> None:
        self.put("later", delay=self.long_delay)
        self.put("now")
        assert bodies(self.take(1)) == ["now"]
        self.let_pass(self.brief)
        assert self.claim() == []
        assert self.counts().delayed == 1
