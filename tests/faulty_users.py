"""Stores that lie about who uses a queue, and about the queues that end with them: one deliberate fault each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import QueueSpec, User


class TellsUsersByName(MemoryStore):
    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        return {queue: sorted(users) for queue, users in super().attending(queues).items()}


class GivesANewPlaceEachTime(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        for user in users:
            if user.queue in self._shared.queues:
                self._shared.queues[user.queue].users._until.pop(user, None)
        return super().attend(users, seconds)


class KeepsThePlaceOfTheLate(MemoryStore):
    """Tells who is there, but forgets nobody."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        answers = super().attend(users, seconds)
        for user in users:
            queue = self._shared.queues.get(user.queue)
            if queue is not None and user.who == "a" and user in queue.users._until:
                queue.users._until = {user: queue.users._until[user]} | queue.users._until
        return answers


class BelievesTheFirstWordOnly(MemoryStore):
    """Renews nobody."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        return [self.is_there(user) or MemoryStore.attend(self, [user], seconds)[0] for user in users]

    def is_there(self, user: User) -> bool:
        return user in self.attending([user.queue]).get(user.queue, ())


class LetsNobodyDie(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        return super().attend(users, seconds and 3600.0)


class LetsNobodyGo(MemoryStore):
    def leave(self, users: Sequence[User]) -> None:
        pass


class LetsAllGo(MemoryStore):
    def leave(self, users: Sequence[User]) -> None:
        super().leave([user for there in self.attending([user.queue for user in users]).values() for user in there])


class TakesAMomentForAMinute(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        return super().attend(users, seconds or 60.0)


class TakesAMomentForNothing(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        if seconds:
            return super().attend(users, seconds)
        return [bool(self.counts([user.queue])) for user in users]


class WelcomesToNowhere(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        super().attend(users, seconds)
        return [True for _ in users]


class KeepsUsersOfTheDeleted(MemoryStore):
    left: Sequence[User] = ()

    def delete(self, queue: str) -> int:
        self.left = self.attending([queue]).get(queue, ())
        return super().delete(queue)

    def declare(self, queue: QueueSpec) -> None:
        super().declare(queue)
        super().attend(self.left, 60.0)


class KnowsItsOwnUsersOnly(MemoryStore):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.own: set[User] = set()

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        self.own.update(users)
        return super().attend(users, seconds)

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        found = super().attending(queues)
        return {queue: [user for user in users if user in self.own] for queue, users in found.items()}


class PutsItsOwnUsersFirst(KnowsItsOwnUsersOnly):
    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        found = MemoryStore.attending(self, queues)
        return {queue: sorted(users, key=lambda user: user not in self.own) for queue, users in found.items()}


class MixesQueues(MemoryStore):
    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        found = super().attending(queues)
        everybody = [user for users in found.values() for user in users]
        return dict.fromkeys(found, everybody)


class WritesNamesInAscii(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        names = [user.who.encode("ascii", "replace").decode() for user in users]
        return super().attend([user._replace(who=who) for user, who in zip(users, names, strict=True)], seconds)


class CountsUsersAsTopology(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        self._shared.moved()
        return super().attend(users, seconds)


class TakesOwnersForConsumers(MemoryStore):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        return super().attend([user._replace(consumer=True) for user in users], seconds)

    def leave(self, users: Sequence[User]) -> None:
        super().leave([user._replace(consumer=True) for user in users])


class EndsWithAnybody(MemoryStore):
    """Ends an auto-deleted queue when the first user leaves, whoever it is."""

    def leave(self, users: Sequence[User]) -> None:
        super().leave(users)
        for user in users:
            if self._shared.queues[user.queue].spec.auto_delete:
                self._shared.queues[user.queue].users.gone_at = 0.0


class EndsTheUnused(MemoryStore):
    """Without asking how long they may be."""

    def expire_queues(self) -> list[str]:
        every = self.topology().queues
        gone = [queue for queue in every if not self.attending([queue])[queue]]
        for queue in gone:
            self.delete(queue)
        return gone


class EndsTheUsed(MemoryStore):
    """Looks only at the clock."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        ends = {user.queue: self._shared.queues[user.queue].users.gone_at for user in users}
        answers = super().attend(users, seconds)
        for queue, end in ends.items():
            self._shared.queues[queue].users.gone_at = end
        return answers


class EndsNothing(MemoryStore):
    def expire_queues(self) -> list[str]:
        return []


class NeverShortensALife(MemoryStore):
    def leave(self, users: Sequence[User]) -> None:
        ends = {user.queue: self._shared.queues[user.queue].users.gone_at for user in users}
        super().leave(users)
        for queue, end in ends.items():
            self._shared.queues[queue].users.gone_at = end


class EndsForgettingBindings(MemoryStore):
    def expire_queues(self) -> list[str]:
        bindings = self.topology().bindings
        gone = super().expire_queues()
        for binding in bindings:
            self.bind(binding)
        return gone


class EndsAllBindings(MemoryStore):
    def expire_queues(self) -> list[str]:
        gone = super().expire_queues()
        for binding in self.topology().bindings if gone else ():
            self.unbind(binding)
        return gone


class EmptiesInsteadOfEnding(MemoryStore):
    def expire_queues(self) -> list[str]:
        specs = self.topology().queues
        gone = super().expire_queues()
        for queue in gone:
            self.declare(replace(specs[queue], auto_delete=False))
        return gone


class EndsQuietly(MemoryStore):
    def expire_queues(self) -> list[str]:
        version = self._shared.version
        gone = super().expire_queues()
        self._shared.version = version
        return gone


class LooksByChanging(MemoryStore):
    def expire_queues(self) -> list[str]:
        self._shared.moved()
        return super().expire_queues()


class TellsWhatItSawBefore(MemoryStore):
    """Looks, and removes a moment later."""

    def expire_queues(self) -> list[str]:
        now = self._clock()
        gone = [name for name, queue in list(self._shared.queues.items()) if queue.users.gone_at <= now]
        threading.Event().wait(0.01)
        super().expire_queues()
        return gone


class ComesThoughItIsOver(MemoryStore):
    """Looks whether the queue is there, and enters it a moment later."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        there = [user.queue in self._shared.queues for user in users]
        threading.Event().wait(0.01)
        super().attend(users, seconds)
        return there
