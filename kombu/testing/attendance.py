"""Promises about who uses a queue: the order they came in, until when they are there, and who has left."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Protocol, runtime_checkable

from kombu.testing.case import HOSTILE_NAMES, LEASE, QUEUE
from kombu.testing.keeper import TopologyCase
from kombu.transport.virtual.store import Attended, QueueSpec, Store, User
from kombu.transport.virtual.topology import TopologyStore

A, B, C = (User(QUEUE, who) for who in "abc")
OWNER = User(QUEUE, "owner", consumer=False)


@runtime_checkable
class AttendedStore(Store, TopologyStore, Attended, Protocol):
    """A store that keeps the topology and knows who uses it."""


class AttendanceCase(TopologyCase):
    """A test of one store that knows who uses its queues."""

    @cached_property
    def attended(self) -> AttendedStore:
        """The test's store, with its users in view."""
        return with_users(self.store)

    def another_attended(self) -> AttendedStore:
        return with_users(self.handle())

    def enter(self, *users: User, seconds: float = LEASE) -> None:
        assert self.attended.attend(users, seconds) == [True] * len(users)

    def there(self, queue: str = QUEUE) -> list[User]:
        return self.attended.attending([queue]).get(queue, [])


def with_users(store: Store) -> AttendedStore:
    assert isinstance(store, AttendedStore)
    return store


class AttendanceConformance(AttendanceCase):
    """The promises of :class:`kombu.transport.virtual.store.Attended` about users; :class:`EndingConformance` has
    those about the queues that end with them."""

    def test_users_are_told_in_the_order_they_came(self) -> None:
        self.declare(QUEUE)
        self.enter(B, OWNER)
        self.enter(C)
        self.enter(A)
        assert self.there() == [B, OWNER, C, A]

    def test_who_says_so_again_keeps_the_place(self) -> None:
        self.declare(QUEUE)
        self.enter(A)
        self.enter(B)
        self.enter(A)
        self.enter(B, A)
        assert self.there() == [A, B]

    def test_a_user_outlives_the_first_end_when_it_is_renewed(self) -> None:
        self.declare(QUEUE)
        self.enter(A, seconds=2 * self.brief)
        self.enter(A)
        self.let_pass(3 * self.brief)
        assert self.there() == [A]

    def test_a_user_who_is_not_renewed_is_gone(self) -> None:
        self.declare(QUEUE)
        self.enter(A, seconds=self.brief)
        self.enter(B)
        self.let_pass(self.brief)
        assert self.there() == [B]

    def test_a_user_who_was_gone_comes_back_as_the_last(self) -> None:
        self.declare(QUEUE)
        self.enter(A, seconds=self.brief)
        self.enter(B)
        self.let_pass(self.brief)
        self.enter(A)
        assert self.there() == [B, A]

    def test_a_user_who_leaves_is_gone_at_once(self) -> None:
        self.declare(QUEUE)
        self.enter(A, B, C)
        self.attended.leave([A, C])
        assert self.there() == [B]
        self.enter(A)
        assert self.there() == [B, A]

    def test_leaving_what_was_never_entered_changes_nothing(self) -> None:
        self.declare(QUEUE)
        self.enter(A)
        self.attended.leave([B, User("unknown", "a")])
        self.attended.leave([])
        assert self.there() == [A]

    def test_a_moments_use_leaves_nobody_behind(self) -> None:
        self.declare(QUEUE)
        self.enter(A, seconds=0.0)
        assert self.there() == []

    def test_a_queue_that_is_not_there_cannot_be_used(self) -> None:
        self.declare(QUEUE)
        assert self.attended.attend([User("unknown", "a"), A], LEASE) == [False, True]
        assert self.attended.attend([User("unknown", "a")], 0.0) == [False]
        assert self.there("unknown") == []
        assert self.attended.attend([], LEASE) == []

    def test_users_go_with_their_queue(self) -> None:
        self.declare(QUEUE)
        self.enter(A)
        self.attended.delete(QUEUE)
        assert self.there() == []
        assert self.attended.attend([A], LEASE) == [False]
        self.declare(QUEUE)
        assert self.there() == []

    def test_what_one_handle_says_of_its_users_another_sees(self) -> None:
        self.declare(QUEUE)
        first, second = self.another_attended(), self.another_attended()
        first.attend([A], LEASE)
        second.attend([B], LEASE)
        assert first.attending([QUEUE]) == second.attending([QUEUE]) == {QUEUE: [A, B]}
        second.leave([A])
        assert first.attending([QUEUE]) == {QUEUE: [B]}

    def test_users_of_several_queues_are_told_apart(self) -> None:
        self.declare(QUEUE, "other")
        others = User("other", "b"), User("other", "a")
        self.enter(A, *others, B)
        found = self.attended.attending([QUEUE, "other", "unknown"])
        assert {queue: users for queue, users in found.items() if users} == {QUEUE: [A, B], "other": [*others]}
        self.attended.leave([User("other", "a")])
        assert (self.there(), self.there("other")) == ([A, B], [User("other", "b")])

    def test_users_with_hostile_names_are_only_names(self) -> None:
        self.declare(*HOSTILE_NAMES)
        users = [User(queue, who) for queue in HOSTILE_NAMES for who in HOSTILE_NAMES]
        self.enter(*users)
        for queue in HOSTILE_NAMES:
            assert [user.who for user in self.there(queue)] == list(HOSTILE_NAMES)
        self.attended.leave(users[1:])
        assert self.there(HOSTILE_NAMES[0]) == users[:1]

    def test_of_many_who_come_at_once_all_have_a_place_that_everybody_sees(self) -> None:
        self.declare(QUEUE)
        handles = [self.another_attended() for _ in range(4)]
        users = [User(QUEUE, str(number)) for number in range(len(handles))]
        enter = [partial(each.attend, [user], LEASE) for each, user in zip(handles, users, strict=True)]
        assert self.at_once(enter) == [[True]] * len(handles)
        order = self.there()
        assert sorted(order) == users
        assert self.at_once(enter) == [[True]] * len(handles)
        assert [handle.attending([QUEUE]) for handle in handles] == [{QUEUE: order}] * len(handles)

    def test_attending_does_not_change_the_version_of_the_topology(self) -> None:
        self.declare(QUEUE)
        self.attended.declare(QueueSpec(name="fleeting", auto_delete=True))
        before = self.attended.topology().version
        self.enter(A, User("fleeting", "a"))
        self.attended.leave([A])
        assert self.attended.topology().version == before
