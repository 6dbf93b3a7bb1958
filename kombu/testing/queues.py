"""Promises about queues: declaring, deleting, purging, counting, and whatever they are called."""

from __future__ import annotations

from kombu.testing.case import ALIKE_NAMES, HOSTILE_NAMES, LEASE, QUEUE, StoreCase, bodies, message
from kombu.transport.virtual.store import Counts, Done, QueueSpec


class QueueConformance(StoreCase):
    """Queues and what they hold."""

    def test_a_new_queue_is_empty(self) -> None:
        self.declare(QUEUE)
        assert self.counts() == Counts()
        assert self.claim() == []

    def test_declaring_a_queue_again_keeps_its_messages(self) -> None:
        self.put("a")
        self.declare(QUEUE)
        self.store.declare(QueueSpec(name=QUEUE, durable=False, arguments={"x-max-priority": 9}))
        assert bodies(self.take(1)) == ["a"]

    def test_a_queue_declared_through_one_handle_is_there_for_another(self) -> None:
        other = self.handle()
        self.declare(QUEUE)
        other.put([(QUEUE, message("a"))])
        assert bodies(self.take(1)) == ["a"]

    def test_hostile_queue_names_are_only_names(self) -> None:
        self.declare(*HOSTILE_NAMES)
        self.put_all((name, message(name)) for name in HOSTILE_NAMES)
        assert set(self.store.counts(HOSTILE_NAMES)) == set(HOSTILE_NAMES)
        for name in HOSTILE_NAMES:
            delivery = self.take_one(queue=name)
            assert (delivery.lease.queue, bodies([delivery])) == (name, [name])
            self.store.wait([name], 0.0)
            assert self.store.settle([Done(delivery.lease)]) == [True]
            assert self.store.purge(name) == 0
            assert self.store.delete(name) == 0
            assert self.store.counts([name]) == {}

    def test_queues_whose_names_look_alike_are_kept_apart(self) -> None:
        self.declare(*ALIKE_NAMES)
        self.put_all((name, message(name)) for name in ALIKE_NAMES)
        assert {name: self.counts(name).total for name in ALIKE_NAMES} == dict.fromkeys(ALIKE_NAMES, 1)
        for name in ALIKE_NAMES:
            assert bodies(self.take(1, queue=name)) == [name]

    def test_counts_tell_ready_delayed_and_leased_apart(self) -> None:
        self.put("leased")
        self.take_one()
        self.put("ready", "ready", "ready")
        self.put("delayed", "delayed", delay=self.long_delay)
        counts = self.counts()
        assert (counts.ready, counts.delayed, counts.leased, counts.total) == (3, 2, 1, 6)

    def test_the_oldest_ready_message_tells_its_age(self) -> None:
        self.put("old")
        self.let_pass(self.brief)
        self.put("new")
        oldest = self.counts().oldest
        assert oldest is not None
        assert 0.9 * self.brief <= oldest < 3 * self.patience

    def test_nothing_ready_has_no_oldest(self) -> None:
        self.put("leased")
        self.take_one()
        self.put("delayed", delay=self.long_delay)
        assert self.counts().oldest is None

    def test_counts_leave_out_unknown_queues(self) -> None:
        self.put("a")
        assert set(self.store.counts([QUEUE, "unknown"])) == {QUEUE}
        assert self.store.counts(["unknown"]) == {}
        assert self.store.counts([]) == {}

    def test_purging_removes_what_is_ready_or_delayed(self) -> None:
        self.put("a", "b")
        self.put("c", delay=self.long_delay)
        self.put("elsewhere", queue="other")
        assert self.store.purge(QUEUE) == 3
        assert self.counts() == Counts()
        assert self.counts("other").ready == 1

    def test_purging_leaves_leased_messages_to_be_settled(self) -> None:
        self.put("leased", "ready")
        delivery = self.take_one()
        assert self.store.purge(QUEUE) == 1
        assert self.counts().leased == 1
        assert self.store.settle([Done(delivery.lease)]) == [True]
        assert self.counts().total == 0

    def test_purging_an_unknown_queue_removes_nothing(self) -> None:
        assert self.store.purge("unknown") == 0

    def test_a_purged_queue_takes_new_messages(self) -> None:
        self.put("old")
        self.store.purge(QUEUE)
        self.put("new")
        assert bodies(self.take(1)) == ["new"]
        assert self.claim() == []

    def test_deleting_a_queue_removes_all_its_messages_and_says_how_many(self) -> None:
        self.put("leased", "ready")
        self.take_one()
        self.put("delayed", delay=self.long_delay)
        assert self.store.delete(QUEUE) == 3
        assert self.store.counts([QUEUE]) == {}
        assert self.claim() == []

    def test_deleting_an_unknown_queue_removes_nothing(self) -> None:
        assert self.store.delete("unknown") == 0

    def test_a_queue_declared_again_after_it_was_deleted_is_empty(self) -> None:
        self.put("ready", "leased")
        self.take_one()
        self.put("delayed", delay=self.brief)
        self.store.delete(QUEUE)
        self.declare(QUEUE)
        self.let_pass(self.brief)
        assert self.counts() == Counts()
        assert self.claim() == []

    def test_a_lease_of_a_deleted_queue_settles_nothing_in_its_successor(self) -> None:
        self.put("old")
        old = self.take_one().lease
        self.store.delete(QUEUE)
        assert self.store.settle([Done(old)]) == [False]
        self.put("new")
        new = self.take_one()
        assert self.store.settle([Done(old)]) == [False]
        assert self.store.extend([old], LEASE) == [None]
        assert self.store.settle([Done(new.lease)]) == [True]
