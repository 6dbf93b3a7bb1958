"""Promises about queues of limited length: what is too much is taken from the head once, or refused as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message, numbered
from kombu.testing.races import ROUNDS, THREADS
from kombu.transport.virtual.store import (
    Bounded,
    Delivery,
    Done,
    Envelope,
    Move,
    QueueFull,
    QueueSpec,
    Release,
    Store,
)


@runtime_checkable
class BoundedStore(Store, Bounded, Protocol):
    """A store that keeps queues to their limits."""


class LimitsConformance(StoreCase):
    """The promises of :class:`kombu.transport.virtual.store.Bounded`, on top of the store's."""

    @cached_property
    def bounded(self) -> BoundedStore:
        """The test's store, with its limits in view."""
        return with_limits(self.store)

    def test_a_queue_that_is_just_full_has_no_surplus(self) -> None:
        self.declare_limited(3)
        self.put_into(*"abc")
        assert self.surplus() == []
        assert self.counts().ready == 3

    def test_the_surplus_is_what_stands_at_the_head(self) -> None:
        self.declare_limited(3)
        self.put_into(*"abcde")
        taken = self.surplus()
        assert bodies(taken) == ["a", "b"]
        assert self.surplus() == []
        assert bodies(self.take(3)) == ["c", "d", "e"]

    def test_the_head_is_where_the_highest_priority_is(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-length": 2, "x-max-priority": 9}))
        self.put_all((QUEUE, message(text, priority=priority)) for text, priority in [("a", 0), ("b", 9), ("c", 5)])
        self.put_into("d", "e")
        assert bodies(self.surplus()) == ["b", "c", "a"]

    def test_the_surplus_is_claimed_as_usual(self) -> None:
        self.declare_limited(1)
        self.put_into("a", "b", "c")
        done, released = self.surplus()
        assert (done.delivery_count, done.lease.queue, self.counts().leased) == (1, QUEUE, 2)
        assert self.store.settle([Done(done.lease), Release(released.lease, counted=False)]) == [True, True]
        assert bodies(self.surplus()) == ["b"]

    def test_the_surplus_comes_back_when_its_lease_runs_out(self) -> None:
        self.declare_limited(0)
        self.put_into("a")
        assert bodies(self.surplus(lease=self.brief)) == ["a"]
        [again] = self.eventually(self.surplus)
        assert (bodies([again]), again.delivery_count) == (["a"], 2)

    def test_only_what_is_ready_counts(self) -> None:
        self.declare_limited(2)
        self.put_into("held", "held")
        self.take(2)
        self.put_all([(QUEUE, message("later", delay=self.long_delay))])
        self.put_into("a", "b")
        assert self.surplus() == []
        self.put_into("c")
        assert bodies(self.surplus()) == ["a"]

    def test_a_queue_may_be_limited_to_nothing(self) -> None:
        self.declare_limited(0)
        self.put_into("a", "b")
        assert bodies(self.surplus()) == ["a", "b"]

    def test_a_queue_may_be_limited_in_bytes(self) -> None:
        self.declare_limited(size=10)
        self.put_into("1234", "12", "1234")
        assert self.surplus() == []
        self.put_into("123")
        assert bodies(self.surplus()) == ["1234"]
        self.put_into("12345678901")
        assert bodies(self.surplus()) == ["12", "1234", "123", "12345678901"]

    def test_of_two_limits_the_tighter_one_counts(self) -> None:
        self.declare_limited(2, size=10)
        self.put_into("a", "b", "c")
        assert bodies(self.surplus()) == ["a"]
        self.put_into("123456789")
        assert bodies(self.surplus()) == ["b"]
        self.put_into("123")
        assert bodies(self.surplus()) == ["c", "123456789"]

    def test_queues_without_limits_have_no_surplus(self) -> None:
        self.put(*numbered(20))
        assert self.surplus() == []
        assert self.bounded.surplus(["unknown"], LEASE) == []
        assert self.bounded.surplus([], LEASE) == []

    def test_only_the_queues_that_are_named_are_looked_at(self) -> None:
        self.declare_limited(1)
        self.declare_limited(1, name="other")
        self.declare_limited(1, name="unnamed")
        for queue in (QUEUE, "other", "unnamed"):
            self.put_all((queue, message(text)) for text in "ab")
        taken = self.bounded.surplus([QUEUE, "other"], LEASE)
        assert sorted(delivery.lease.queue for delivery in taken) == sorted([QUEUE, "other"])
        assert self.counts("unnamed").ready == 2

    def test_of_several_callers_each_message_is_for_one_only(self) -> None:
        self.declare_limited(5)
        handles = [with_limits(self.handle()) for _ in range(THREADS)]
        for number in range(ROUNDS):
            self.store.purge(QUEUE)
            self.put_into(*numbered(5 + number))
            answers = self.at_once([partial(handle.surplus, [QUEUE], LEASE) for handle in handles])
            assert sorted(text for answer in answers for text in bodies(answer)) == numbered(number)

    def test_what_is_claimed_meanwhile_is_no_surplus(self) -> None:
        self.declare_limited(5)
        dropper, consumer = with_limits(self.handle()), self.handle()
        for _ in range(ROUNDS):
            self.store.purge(QUEUE)
            self.put_into(*numbered(8))
            calls: list[Callable[[], list[Delivery]]] = [
                partial(dropper.surplus, [QUEUE], LEASE),
                partial(consumer.claim, {QUEUE: 2}, LEASE),
            ]
            dropped, claimed = map(bodies, self.at_once(calls))
            assert not set(dropped) & set(claimed)
            assert len(dropped) <= (3 - len(claimed) if "0000" in claimed else 3)

    def test_a_full_queue_that_refuses_takes_nothing_more(self) -> None:
        self.declare_refusing(2)
        self.put_into("a", "b")
        assert self.refused_by(QUEUE, message("c"))
        assert self.counts().total == 2
        assert bodies(self.take(2)) == ["a", "b"]

    def test_a_batch_that_does_not_fit_is_refused_as_a_whole(self) -> None:
        self.declare_refusing(3)
        self.declare("other")
        self.put_into("a", "b")
        items = [("other", message("x")), (QUEUE, message("c")), (QUEUE, message("d"))]
        assert refused_for(partial(self.store.put, items)) == QUEUE
        assert (self.counts().total, self.counts("other").total) == (2, 0)
        self.store.put(items[:2])
        assert (self.counts().total, self.counts("other").total) == (3, 1)

    def test_a_queue_that_is_full_of_bytes_refuses(self) -> None:
        self.declare_refusing(size=10)
        self.put_into("12345", "1234")
        assert self.refused_by(QUEUE, message("12"))
        self.put_into("1")
        assert self.refused_by(QUEUE, message("1"))
        assert self.counts().total == 3

    def test_a_queue_takes_messages_again_when_some_are_claimed(self) -> None:
        self.declare_refusing(1)
        self.put_into("a")
        assert self.refused_by(QUEUE, message("b"))
        self.take_one()
        assert not self.refused_by(QUEUE, message("b"))
        assert self.refused_by(QUEUE, message("c"))
        assert self.counts().total == 2

    def test_a_queue_refuses_nothing_without_a_limit(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-overflow": "reject-publish"}))
        assert not any(self.refused_by(QUEUE, message(text)) for text in numbered(20))
        assert self.counts().ready == 20

    def test_another_handle_is_refused_as_well(self) -> None:
        self.declare("other")
        stranger = self.handle()
        stranger.put([("other", message("x"))])
        self.declare_refusing(1)
        stranger.put([(QUEUE, message("a"))])
        assert self.refused_by(QUEUE, message("b"), stranger)
        assert self.refused_by(QUEUE, message("b"))

    def test_a_move_into_a_full_queue_raises_and_keeps_the_message(self) -> None:
        self.declare_refusing(1, name="dead")
        self.store.put([("dead", message("x"))])
        self.put("a")
        held = self.take_one()
        move = Move(held.lease, (("dead", message("a")),))
        assert refused_for(partial(self.store.settle, [move])) == "dead"
        assert self.counts("dead").total == 1
        assert self.store.settle([Release(held.lease)]) == [True]

    def test_many_who_put_at_once_do_not_overfill_a_queue(self) -> None:
        self.declare_refusing(10)
        handles = [self.handle() for _ in range(THREADS)]
        answers = self.at_once([partial(self.put_until_refused, handle) for handle in handles])
        assert sum(answers) == self.counts().ready == 10

    def declare_limited(self, length: int | None = None, size: int | None = None, name: str = QUEUE) -> None:
        self.store.declare(QueueSpec(name=name, arguments=limited(length, size)))

    def declare_refusing(self, length: int | None = None, size: int | None = None, name: str = QUEUE) -> None:
        arguments = {**limited(length, size), "x-overflow": "reject-publish"}
        self.store.declare(QueueSpec(name=name, arguments=arguments))

    def put_into(self, *texts: str) -> None:
        self.put_all((QUEUE, message(text)) for text in texts)

    def surplus(self, lease: float = LEASE) -> list[Delivery]:
        return self.bounded.surplus([QUEUE], lease)

    def refused_by(self, queue: str, envelope: Envelope, store: Store | None = None) -> bool:
        """Whether the queue takes no such message; otherwise it has it now."""
        refusing = refused_for(partial((store or self.store).put, [(queue, envelope)]))
        assert refusing in (None, queue)
        return refusing is not None

    def put_until_refused(self, store: Store) -> int:
        """How many messages were stored before the first one was refused."""
        stored = 0
        while not self.refused_by(QUEUE, message("a"), store):
            stored += 1
        return stored


def limited(length: int | None, size: int | None) -> dict[str, object]:
    """The arguments of a queue with so many messages and bytes at most."""
    limits = {"x-max-length": length, "x-max-length-bytes": size}
    return {name: limit for name, limit in limits.items() if limit is not None}


def refused_for(call: Callable[[], object]) -> str | None:
    """The queue that is too full for it."""
    try:
        call()
    except QueueFull as full:
        return full.queue
    return None


def with_limits(store: Store) -> BoundedStore:
    assert isinstance(store, BoundedStore)
    return store
