"""Promises about a time to live: when it is over, only housekeeping or a marked delivery sees the message."""

from __future__ import annotations

from kombu.testing.case import LEASE, StoreCase, bodies
from kombu.transport.virtual.store import Delivery, Done, Release


class ExpiryConformance(StoreCase):
    """Time to live and the sweep."""

    def test_a_message_whose_time_is_over_is_handed_out_as_expired(self) -> None:
        self.put("short-lived", ttl=self.brief)
        self.let_pass(self.brief)
        [delivery] = self.claimed_or_swept()
        assert delivery.expired
        assert self.store.settle([Done(delivery.lease)]) == [True]
        assert self.counts().total == 0

    def test_a_message_within_its_time_is_not_expired(self) -> None:
        self.put("long-lived", ttl=3600.0)
        self.let_pass(self.brief)
        assert self.store.sweep(10, LEASE) == []
        assert not self.take_one().expired

    def test_a_message_without_a_time_to_live_never_expires(self) -> None:
        self.put("a")
        self.let_pass(self.brief)
        assert self.store.sweep(10, LEASE) == []
        assert not self.take_one().expired

    def test_a_sweep_finds_expired_messages_of_all_queues_and_no_others(self) -> None:
        self.put("red", queue="red", ttl=self.brief)
        self.put("blue", queue="blue", ttl=self.brief)
        self.put("stays", queue="blue")
        self.let_pass(self.brief)
        swept = self.swept(2)
        assert sorted(bodies(swept)) == ["blue", "red"]
        assert all(delivery.expired for delivery in swept)
        assert self.store.sweep(10, LEASE) == []
        assert bodies(self.take(1, queue="blue")) == ["stays"]

    def test_a_swept_message_is_leased(self) -> None:
        self.put("a", ttl=self.brief)
        [delivery] = self.swept(1)
        assert self.counts().leased == 1
        assert self.claim() == []
        assert self.store.sweep(10, LEASE) == []
        assert self.store.settle([Done(delivery.lease)]) == [True]
        assert self.counts().total == 0

    def test_a_swept_message_that_is_released_is_there_once(self) -> None:
        self.put("a", ttl=self.brief)
        [delivery] = self.swept(1)
        assert self.store.settle([Release(delivery.lease)]) == [True]
        assert bodies(self.claimed_or_swept()) == ["a"]
        assert self.counts().total == 1

    def test_a_sweep_whose_sweeper_died_is_done_again(self) -> None:
        self.put("a", ttl=self.brief)
        self.eventually(lambda: self.store.sweep(10, self.brief))
        assert bodies(self.swept(1)) == ["a"]

    def test_a_sweep_takes_no_more_than_its_limit(self) -> None:
        self.put("a", "b", "c", ttl=self.brief)
        self.let_pass(self.brief)
        some = self.store.sweep(2, LEASE)
        assert len(some) <= 2
        assert sorted(bodies(some + self.swept(3 - len(some)))) == ["a", "b", "c"]

    def test_a_sweep_takes_nothing_from_a_live_lease(self) -> None:
        self.put("a", ttl=self.brief)
        [delivery] = self.claimed_or_swept()
        self.let_pass(self.brief)
        assert self.store.sweep(10, LEASE) == []
        assert self.store.settle([Done(delivery.lease)]) == [True]

    def test_the_time_to_live_runs_from_the_moment_the_message_was_stored(self) -> None:
        self.put("a", ttl=self.brief)
        [delivery] = self.claimed_or_swept()
        self.let_pass(self.brief)
        assert self.store.settle([Release(delivery.lease)]) == [True]
        assert [delivery.expired for delivery in self.claimed_or_swept()] == [True]

    def claimed_or_swept(self) -> list[Delivery]:
        """What a claim hands out or, where it leaves expired messages alone, a sweep."""
        return self.eventually(lambda: self.claim() or self.store.sweep(10, LEASE))

    def swept(self, count: int) -> list[Delivery]:
        found: list[Delivery] = []
        while len(found) < count:
            found += self.eventually(lambda: self.store.sweep(10, LEASE))
        return found
