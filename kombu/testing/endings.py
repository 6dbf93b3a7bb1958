"""Promises about queues that go away by themselves: when their lives are over, and that nothing of them stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from kombu.testing.attendance import OWNER, A, AttendanceCase, B
from kombu.testing.case import LEASE, QUEUE, message, numbered, raises
from kombu.testing.races import ROUNDS, THREADS
from kombu.transport.virtual.store import QueueSpec, TopologyMoved, User
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec

AUTO_DELETED = QueueSpec(name=QUEUE, auto_delete=True)
EXCLUSIVE = QueueSpec(name=QUEUE, exclusive=True)
BOTH = QueueSpec(name=QUEUE, exclusive=True, auto_delete=True)
HOUR = 3600.0


class EndingConformance(AttendanceCase):
    """The promises of :class:`kombu.transport.virtual.store.Attended` about the ends of queues."""

    def test_a_queue_that_was_declared_to_stay_does(self) -> None:
        self.declare(QUEUE)
        self.enter(A, OWNER)
        self.attended.leave([A, OWNER])
        assert not self.ended()

    def test_an_auto_deleted_queue_stays_until_it_had_a_consumer(self) -> None:
        self.store.declare(AUTO_DELETED)
        self.let_pass(self.brief)
        assert not self.ended()

    def test_an_auto_deleted_queue_ends_with_its_last_consumer(self) -> None:
        self.store.declare(AUTO_DELETED)
        self.enter(A, B)
        self.attended.leave([A])
        assert not self.ended()
        self.attended.leave([B])
        assert self.ended()

    def test_an_auto_deleted_queue_ends_when_its_last_consumer_is_not_renewed(self) -> None:
        self.store.declare(AUTO_DELETED)
        self.enter(A, seconds=self.brief)
        self.eventually(self.ended)

    def test_an_auto_deleted_queue_ends_with_its_last_consumer_though_its_owner_stays(self) -> None:
        self.store.declare(BOTH)
        self.enter(OWNER)
        assert not self.ended()
        self.enter(A)
        self.attended.leave([A])
        assert self.ended()

    def test_an_auto_deleted_queue_stays_for_its_consumer_when_another_user_leaves(self) -> None:
        self.store.declare(BOTH)
        self.enter(OWNER, A)
        self.attended.leave([OWNER])
        assert not self.ended()

    def test_an_exclusive_queue_stays_until_its_owner_comes(self) -> None:
        self.store.declare(EXCLUSIVE)
        self.let_pass(self.brief)
        assert not self.ended()
        self.enter(OWNER)
        assert self.there() == [OWNER]

    def test_an_exclusive_queue_ends_with_its_owner(self) -> None:
        self.store.declare(EXCLUSIVE)
        self.enter(OWNER)
        self.enter(A)
        self.attended.leave([A])
        assert not self.ended()
        self.attended.leave([OWNER])
        assert self.ended()

    def test_an_exclusive_queue_ends_when_its_owner_is_not_renewed(self) -> None:
        self.store.declare(EXCLUSIVE)
        self.enter(OWNER, seconds=self.brief)
        self.eventually(self.ended)

    def test_a_queue_that_nobody_ever_uses_expires(self) -> None:
        self.store.declare(self.expiring(self.brief))
        self.eventually(self.ended)

    def test_a_queue_does_not_expire_while_it_is_used(self) -> None:
        self.declare_in_use(self.expiring(self.brief))
        self.let_pass(2 * self.brief)
        assert not self.ended()
        assert self.there() == [A]

    def test_a_queue_expires_some_time_after_its_last_user(self) -> None:
        self.declare_in_use(self.expiring(self.brief))
        self.attended.leave([A])
        self.eventually(self.ended)

    def test_a_queue_lives_its_time_after_its_last_user(self) -> None:
        self.store.declare(self.expiring(HOUR))
        self.enter(A, seconds=self.brief)
        self.attended.leave([A])
        self.let_pass(self.brief)
        assert not self.ended()

    def test_a_moments_use_lets_a_queue_live_its_time_once_more(self) -> None:
        def lives_on() -> bool:
            self.attended.expire_queues()
            self.store.declare(self.expiring(2 * self.brief))
            return all(self.used_after(self.brief) for _ in range(4))

        self.eventually(lives_on)

    def test_nobody_comes_to_a_queue_whose_life_is_over(self) -> None:
        self.store.declare(AUTO_DELETED)
        self.enter(A)
        self.attended.leave([A])
        assert self.attended.attend([B], LEASE) == [False]
        assert self.ended()

    def test_nothing_of_a_queue_stays_when_it_ends(self) -> None:
        self.declare_and_end(QUEUE)
        assert self.ended()
        topology = self.attended.topology()
        assert (topology.queues, topology.bindings) == ({}, ())
        assert self.store.counts([QUEUE]) == {}
        self.store.declare(AUTO_DELETED)
        assert self.counts().total == 0
        assert self.there() == []

    def test_ending_leaves_other_queues_and_their_bindings(self) -> None:
        self.declare_all("shop", "gone", queues=["stays"])
        stays = BindingSpec(source="shop", destination="stays")
        to_exchange = BindingSpec(source="shop", destination="gone", to_exchange=True)
        self.attended.bind(stays)
        self.attended.bind(to_exchange)
        self.declare_and_end("gone")
        assert self.attended.expire_queues() == ["gone"]
        assert set(self.attended.topology().queues) == {"stays"}
        assert self.attended.topology().bindings == (stays, to_exchange)

    def test_whoever_routed_before_a_queue_ended_routes_again(self) -> None:
        self.store.declare(QueueSpec(name="stays"))
        self.declare_and_end(QUEUE)
        routed_with = self.attended.topology().version
        assert self.ended()
        with raises(TopologyMoved):
            self.attended.put([("stays", message("a"))], routed_with)

    def test_looking_for_ended_queues_changes_nothing_where_none_has_ended(self) -> None:
        self.store.declare(AUTO_DELETED)
        before = self.attended.topology()
        assert self.attended.expire_queues() == []
        assert self.attended.topology() == before

    def test_each_ended_queue_is_told_to_one_caller_only(self) -> None:
        handles = [self.another_attended() for _ in range(THREADS)]
        for _ in range(ROUNDS):
            for name in numbered(3):
                self.declare_and_end(name)
            answers = self.at_once([handle.expire_queues for handle in handles])
            assert Counter(name for answer in answers for name in answer) == Counter(numbered(3))

    def test_who_comes_while_the_last_consumer_leaves_has_the_queue_or_is_told_that_it_is_gone(self) -> None:
        leaver, comer = self.another_attended(), self.another_attended()
        for _ in range(ROUNDS):
            self.store.declare(AUTO_DELETED)
            self.enter(A)
            calls: list[Callable[[], list[bool] | None]] = [
                partial(leaver.leave, [A]),
                partial(comer.attend, [B], LEASE),
            ]
            _, came = self.at_once(calls)
            assert self.there() == ([B] if came == [True] else [])
            assert self.ended() == (came == [False])
            self.store.delete(QUEUE)

    def expiring(self, seconds: float) -> QueueSpec:
        return QueueSpec(name=QUEUE, arguments={"x-expires": round(seconds * 1000)})

    def ended(self) -> bool:
        """Whether the queue is gone now, its life being over."""
        answer = self.attended.expire_queues()
        assert (QUEUE in answer) == (QUEUE not in self.attended.topology().queues)
        return QUEUE in answer

    def declare_in_use(self, queue: QueueSpec) -> None:
        """Declare a queue of short life, and use it before that is over, however slow the machine is."""

        def declared_in_time() -> bool:
            self.attended.expire_queues()
            self.store.declare(queue)
            return self.attended.attend([A], LEASE) == [True]

        self.eventually(declared_in_time)

    def used_after(self, seconds: float) -> bool:
        self.let_pass(seconds)
        return not self.ended() and self.attended.attend([A], 0.0) == [True]

    def declare_and_end(self, name: str) -> None:
        """A queue with a binding and a message, whose last consumer has left."""
        self.attended.declare_exchange(ExchangeSpec(name="shop"))
        self.attended.declare(QueueSpec(name=name, auto_delete=True))
        self.attended.bind(BindingSpec(source="shop", destination=name))
        self.attended.put([(name, message("a"))])
        self.enter(User(name, "a"))
        self.attended.leave([User(name, "a")])
