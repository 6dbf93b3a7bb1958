"""Promises about browsing: looking takes nothing, and what was chosen is claimed and settled as usual."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol, runtime_checkable

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message, numbered
from kombu.transport.virtual.store import (
    Browsable,
    Delivery,
    Done,
    MessageId,
    Move,
    QueueSpec,
    Release,
    Store,
)


@runtime_checkable
class BrowsableStore(Store, Browsable, Protocol):
    """A store whose messages can be looked at."""


class BrowseConformance(StoreCase):
    """The promises of :class:`kombu.transport.virtual.store.Browsable`, on top of the store's."""

    @cached_property
    def browser(self) -> BrowsableStore:
        """The test's store, with its messages in view."""
        store = self.store
        assert isinstance(store, BrowsableStore)
        return store

    def test_browsing_shows_messages_in_the_order_they_were_stored(self) -> None:
        self.put(*numbered(20))
        assert bodies(self.browse()) == numbered(20)

    def test_browsing_shows_the_whole_message(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-priority": 9}))
        envelope = message("größe", priority=5, body=bytes(range(256)))
        self.store.put([(QUEUE, envelope)])
        [shown] = self.browse()
        assert (shown.head, shown.body, shown.priority) == (envelope.head, envelope.body, 5)
        assert (shown.delivery_count, shown.expired, shown.lease.queue) == (0, False, QUEUE)

    def test_browsing_takes_nothing(self) -> None:
        self.put("a", "b")
        shown = self.browse()
        assert self.counts().ready == 2
        delivered = self.take(2)
        assert bodies(delivered) == ["a", "b"]
        assert [delivery.delivery_count for delivery in delivered] == [1, 1]
        assert [delivery.lease.id for delivery in delivered] == [delivery.lease.id for delivery in shown]

    def test_what_is_browsed_cannot_be_settled(self) -> None:
        self.put("ready", "leased")
        lost, _ = self.lose_lease()
        for shown in self.browse():
            if shown.lease.id != lost.id:
                assert self.store.settle([Done(shown.lease)]) == [False]
                assert self.store.extend([shown.lease], LEASE) == [None]
        assert self.counts().total == 2

    def test_browsing_goes_page_by_page(self) -> None:
        self.put(*numbered(25))
        first = self.browse(10)
        second = self.browse(10, first[-1].lease.id)
        third = self.browse(10, second[-1].lease.id)
        assert bodies(first + second + third) == numbered(25)
        assert (len(first), len(second)) == (10, 10)
        assert self.browse(10, third[-1].lease.id) == []

    def test_paging_goes_on_behind_a_message_that_is_gone(self) -> None:
        self.put("a", "b", "c")
        [first] = self.browse(1)
        self.store.settle([Done(self.take_one().lease)])
        assert bodies(self.browse(10, first.lease.id)) == ["b", "c"]

    def test_browsing_shows_delayed_and_leased_messages_in_their_places(self) -> None:
        self.put("leased")
        self.take_one()
        self.put("delayed", delay=self.long_delay)
        self.put("ready")
        shown = self.browse()
        assert bodies(shown) == ["leased", "delayed", "ready"]
        assert [delivery.delivery_count for delivery in shown] == [1, 0, 0]

    def test_browsing_shows_only_its_queue(self) -> None:
        self.put("here")
        self.put("there", queue="other")
        assert bodies(self.browse()) == ["here"]

    def test_browsing_an_unknown_or_empty_queue_shows_nothing(self) -> None:
        self.declare("empty")
        assert self.browser.browse("empty", 10) == []
        assert self.browser.browse("unknown", 10) == []

    def test_expired_messages_are_shown_as_expired(self) -> None:
        self.put("a", ttl=self.brief)
        self.put("b")
        self.let_pass(self.brief)
        assert [delivery.expired for delivery in self.browse()] == [True, False]

    def test_only_the_chosen_messages_are_claimed(self) -> None:
        self.put(*numbered(5))
        ids = self.ids()
        chosen = self.choose([ids[1], ids[3]])
        assert sorted(bodies(chosen)) == ["0001", "0003"]
        assert [delivery.delivery_count for delivery in chosen] == [1, 1]
        assert self.counts().leased == 2
        assert bodies(self.take(3)) == ["0000", "0002", "0004"]

    def test_delayed_messages_can_be_chosen(self) -> None:
        self.put("later", delay=self.long_delay)
        [delivery] = self.choose(self.ids())
        assert self.counts().leased == 1
        assert self.store.settle([Release(delivery.lease, delay=0.0)]) == [True]
        assert self.counts().total == 1

    def test_a_delayed_message_can_be_moved_to_where_it_is_ready(self) -> None:
        self.put("later", delay=self.long_delay)
        [delivery] = self.choose(self.ids())
        assert self.store.settle([Move(delivery.lease, ((QUEUE, message("now")),))]) == [True]
        assert bodies(self.take(1)) == ["now"]
        assert self.counts().total == 1

    def test_a_message_with_a_live_lease_cannot_be_chosen(self) -> None:
        self.put("leased")
        held = self.take_one()
        assert self.choose([held.lease.id]) == []
        assert self.store.settle([Done(held.lease)]) == [True]

    def test_a_message_whose_lease_ran_out_can_be_chosen(self) -> None:
        self.put("a")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready)
        [chosen] = self.choose([late.lease.id])
        assert self.store.settle([Done(late.lease)]) == [False]
        assert self.store.settle([Done(chosen.lease)]) == [True]

    def test_chosen_messages_are_leased_for_the_time_asked(self) -> None:
        self.put("a")
        assert len(self.choose(self.ids(), self.brief)) == 1
        assert self.take_one().delivery_count == 2

    def test_chosen_messages_are_settled_as_usual(self) -> None:
        self.put("done", "moved", "released", "stays")
        self.declare("dead")
        done, moved, released = (self.choose([id])[0] for id in self.ids()[:3])
        move = Move(moved.lease, (("dead", message("moved")),))
        answers = self.store.settle([Done(done.lease), move, Release(released.lease, counted=False)])
        assert answers == [True, True, True]
        assert bodies(self.take(2)) == ["released", "stays"]
        assert bodies(self.take(1, queue="dead")) == ["moved"]

    def test_what_is_not_there_cannot_be_chosen(self) -> None:
        self.put("gone")
        self.declare("other")
        ids = self.ids()
        assert self.browser.claim_chosen("other", ids, LEASE) == []
        assert self.browser.claim_chosen("unknown", ids, LEASE) == []
        assert self.choose([]) == []
        self.store.settle([Done(self.take_one().lease)])
        assert self.choose(ids) == []

    def browse(self, limit: int = 100, after: MessageId | None = None) -> list[Delivery]:
        return self.browser.browse(QUEUE, limit, after)

    def ids(self) -> list[MessageId]:
        return [delivery.lease.id for delivery in self.browse()]

    def choose(self, ids: list[MessageId], lease: float = LEASE) -> list[Delivery]:
        return self.browser.claim_chosen(QUEUE, ids, lease)
