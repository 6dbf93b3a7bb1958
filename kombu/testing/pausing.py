"""Promises about paused queues: they take messages, and give none out."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol, runtime_checkable

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message
from kombu.transport.virtual.store import Done, Pausable, Release, Store


@runtime_checkable
class PausableStore(Store, Pausable, Protocol):
    """A store whose queues can be paused."""


class PauseConformance(StoreCase):
    """The promises of :class:`kombu.transport.virtual.store.Pausable`, on top of the store's."""

    @cached_property
    def pausable(self) -> PausableStore:
        """The test's store."""
        store = self.store
        assert isinstance(store, PausableStore)
        return store

    def test_a_paused_queue_takes_messages_and_gives_none_out(self) -> None:
        self.put("a")
        assert self.pausable.pause(QUEUE)
        self.put("b")
        assert self.claim(10) == []
        assert self.counts().ready == 2
        assert self.pausable.paused() == [QUEUE]

    def test_a_resumed_queue_gives_out_what_it_has_in_order(self) -> None:
        self.put("a", "b")
        self.pausable.pause(QUEUE)
        assert self.pausable.pause(QUEUE, False)
        assert self.pausable.paused() == []
        assert bodies(self.take(2)) == ["a", "b"]

    def test_a_queue_is_paused_for_all_handles_and_others_are_not(self) -> None:
        self.put("a")
        self.declare("others")
        self.store.put([("others", message("b"))])
        self.pausable.pause(QUEUE)
        found = self.handle().claim({QUEUE: 10, "others": 10}, LEASE)
        assert bodies(found) == ["b"]

    def test_what_was_claimed_before_the_pause_is_settled_and_renewed_as_ever(self) -> None:
        self.put("a", "b", "c")
        a, b, c = self.take(3)
        self.pausable.pause(QUEUE)
        assert self.store.extend([a.lease], LEASE) == [a.lease]
        assert self.store.settle([Done(a.lease), Done(b.lease), Release(c.lease)]) == [True] * 3
        assert self.claim(10) == []
        assert self.counts().ready == 1

    def test_one_that_waits_is_not_told_that_something_is_due_in_a_paused_queue(self) -> None:
        self.put("a")
        self.pausable.pause(QUEUE)
        self.store.wait([QUEUE], self.brief)
        assert self.claim(10) == []

    def test_a_queue_that_is_not_there_cannot_be_paused(self) -> None:
        assert not self.pausable.pause("nobody")
        assert self.pausable.paused() == []

    def test_a_new_queue_of_the_name_of_a_paused_one_is_not_paused(self) -> None:
        self.declare(QUEUE)
        self.pausable.pause(QUEUE)
        self.store.delete(QUEUE)
        self.put("a")
        assert bodies(self.take(1)) == ["a"]
