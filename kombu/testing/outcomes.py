"""Promises about outcomes: done is gone, released is back, moved is in its new place and only there."""

from __future__ import annotations

from kombu.exceptions import KombuError
from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message, needs, raises
from kombu.transport.virtual.store import Done, Move, Release, TopologyMoved

DEAD = "dead"


class OutcomeConformance(StoreCase):
    """Settling."""

    def test_done_leaves_nothing_behind(self) -> None:
        self.put("a")
        delivery = self.take_one()
        assert self.store.settle([Done(delivery.lease)]) == [True]
        assert self.counts().total == 0
        assert self.claim() == []
        assert self.store.delete(QUEUE) == 0

    def test_a_message_is_settled_once(self) -> None:
        self.put("a")
        lease = self.take_one().lease
        assert self.store.settle([Done(lease)]) == [True]
        assert self.store.settle([Done(lease)]) == [False]
        assert self.store.settle([Release(lease)]) == [False]
        assert self.store.extend([lease], LEASE) == [None]
        assert self.counts().total == 0

    def test_done_takes_only_its_own_message(self) -> None:
        self.put("a", "b", "c")
        _, b, _ = self.take(3)
        assert self.store.settle([Done(b.lease)]) == [True]
        assert self.counts().leased == 2

    def test_a_released_message_stands_where_it_stood(self) -> None:
        self.put("a", "b", "c")
        assert self.store.settle([Release(self.take_one().lease)]) == [True]
        assert self.counts().ready == 3
        assert bodies(self.take(3)) == ["a", "b", "c"]

    def test_messages_released_in_any_order_stand_where_they_stood(self) -> None:
        self.put("a", "b", "c", "d")
        a, b, c = self.take(3)
        assert self.store.settle([Release(c.lease), Release(a.lease), Release(b.lease)]) == [True] * 3
        assert bodies(self.take(4)) == ["a", "b", "c", "d"]

    def test_a_released_message_keeps_its_delivery_count(self) -> None:
        self.put("a")
        self.store.settle([Release(self.take_one().lease)])
        assert self.take_one().delivery_count == 2

    def test_a_message_released_uncounted_has_not_been_tried(self) -> None:
        self.put("a")
        self.store.settle([Release(self.take_one().lease)])
        self.store.settle([Release(self.take_one().lease, counted=False)])
        assert self.take_one().delivery_count == 2

    def test_a_released_message_is_nobodys(self) -> None:
        self.put("a")
        lease = self.take_one().lease
        self.store.settle([Release(lease)])
        assert self.store.extend([lease], LEASE) == [None]
        assert self.store.settle([Done(lease)]) == [False]
        assert bodies(self.take(1)) == ["a"]

    def test_a_message_released_for_later_comes_back_later(self) -> None:
        self.put("a")
        self.let_pass(self.brief)
        first = self.take_one()
        assert self.store.settle([Release(first.lease, delay=2 * self.brief)]) == [True]
        second = self.take_one()
        assert second.age - first.age >= 1.8 * self.brief
        assert second.delivery_count == 2

    def test_a_message_released_for_much_later_counts_as_delayed(self) -> None:
        self.put("a", "b")
        self.store.settle([Release(self.take_one().lease, delay=self.long_delay)])
        assert bodies(self.take(1)) == ["b"]
        counts = self.counts()
        assert (counts.ready, counts.delayed, counts.leased) == (0, 1, 1)

    def test_a_moved_message_is_in_its_new_places_only(self) -> None:
        self.put("a", "b")
        self.declare(DEAD, "copy")
        into = ((DEAD, message("dead a")), ("copy", message("copied a")))
        assert self.store.settle([Move(self.take_one().lease, into)]) == [True]
        assert self.counts().total == 1
        dead = self.take_one(queue=DEAD)
        assert (bodies([dead]), dead.delivery_count) == (["dead a"], 1)
        assert bodies(self.take(1, queue="copy")) == ["copied a"]
        assert bodies(self.take(1)) == ["b"]

    def test_a_message_moved_into_its_own_queue_goes_to_the_end(self) -> None:
        self.put("a", "b")
        assert self.store.settle([Move(self.take_one().lease, ((QUEUE, message("again")),))]) == [True]
        assert bodies(self.take(2)) == ["b", "again"]
        assert self.counts().total == 2

    def test_a_moved_message_may_be_delayed(self) -> None:
        self.put("a")
        self.declare(DEAD)
        into = ((DEAD, message("later", delay=self.long_delay)),)
        assert self.store.settle([Move(self.take_one().lease, into)]) == [True]
        assert (self.counts(DEAD).delayed, self.counts().total) == (1, 0)

    def test_a_message_moved_nowhere_is_gone(self) -> None:
        self.put("a")
        assert self.store.settle([Move(self.take_one().lease)]) == [True]
        assert self.counts().total == 0

    def test_a_move_with_a_lost_lease_stores_nothing(self) -> None:
        self.put("a")
        self.declare(DEAD)
        lost, held = self.lose_lease()
        assert self.store.settle([Move(lost, ((DEAD, message("a")),))]) == [False]
        assert self.counts(DEAD).total == 0
        assert self.store.settle([Done(held.lease)]) == [True]

    def test_a_move_into_a_missing_queue_raises_and_keeps_the_message(self) -> None:
        self.put("a")
        lease = self.take_one().lease
        with raises(KombuError, TopologyMoved):
            self.store.settle([Move(lease, (("missing", message("a")),))])
        assert self.counts().total == 1
        assert self.store.settle([Release(lease)]) == [True]
        assert bodies(self.take(1)) == ["a"]

    def test_a_move_that_fails_for_one_place_stores_in_none(self) -> None:
        needs(self.store.capabilities.atomic_put, "atomic put")
        self.put("a")
        self.declare(DEAD)
        lease = self.take_one().lease
        with raises(KombuError, TopologyMoved):
            self.store.settle([Move(lease, ((DEAD, message("a")), ("missing", message("a"))))])
        assert self.counts(DEAD).total == 0
        assert self.counts().total == 1

    def test_a_failed_move_loses_nothing_of_its_batch(self) -> None:
        self.put("a", "b", "c")
        a, b, c = self.take(3)
        with raises(KombuError, TopologyMoved):
            moved = Move(b.lease, (("missing", message("b")),))
            self.store.settle([Release(a.lease), moved, Release(c.lease)])
        assert self.counts().total == 3

    def test_a_mixed_batch_is_answered_in_the_order_given(self) -> None:
        self.put("lost")
        lost, held = self.lose_lease()
        self.put("done", "moved", "released", "gone")
        done, moved, released, gone = self.take(4)
        self.store.settle([Done(gone.lease)])
        self.declare(DEAD)
        answers = self.store.settle(
            [
                Release(lost),
                Done(done.lease),
                Done(gone.lease),
                Release(released.lease),
                Move(moved.lease, ((DEAD, message("moved")),)),
                Move(lost, ((DEAD, message("lost")),)),
                Done(held.lease),
            ]
        )
        assert answers == [False, True, False, True, True, False, True]
        assert bodies(self.take(1)) == ["released"]
        assert self.counts().total == 1
        assert bodies(self.take(1, queue=DEAD)) == ["moved"]
        assert self.counts(DEAD).total == 1

    def test_one_batch_settles_messages_of_several_queues(self) -> None:
        self.put("a", queue="red")
        self.put("b", queue="blue")
        red, blue = self.take_one(queue="red"), self.take_one(queue="blue")
        assert self.store.settle([Done(blue.lease), Done(red.lease)]) == [True, True]
        assert self.counts("red").total + self.counts("blue").total == 0

    def test_settling_nothing_is_fine(self) -> None:
        assert self.store.settle([]) == []
