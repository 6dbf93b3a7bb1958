"""Who uses a queue, and the ends of queues that nobody uses any more: :class:`...virtual.store.Attended`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kombu.transport.redis import scripts
from kombu.transport.redis.records import micro
from kombu.transport.redis.topology import RedisTopology
from kombu.transport.virtual.store import User

_LOOK_AGAIN = micro(10.0)
"""When a queue whose end somebody looks at is looked at again, should that one die meanwhile."""


class RedisUsers(RedisTopology):
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        there: dict[str, bool] = {}
        for queue, group in _by_queue(users):
            base = self._keys.queue(queue)
            answer = self._again(scripts.ATTEND, [base, *self._here()], [micro(seconds), *map(_user, group)])
            there[queue] = answer != b""
            self._mark_end(base, answer)
        return [there[user.queue] for user in users]

    def leave(self, users: Sequence[User]) -> None:
        for queue, group in _by_queue(users):
            base = self._keys.queue(queue)
            self._mark_end(base, self._again(scripts.LEAVE, [base, *self._here()], list(map(_user, group))))

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        found: dict[str, list[User]] = {}
        for names in self._groups(queues):
            for queue, users in zip(names, self._again(scripts.ATTENDING, self._bases(names), []), strict=True):
                placed = sorted(zip(users[::2], users[1::2], strict=True), key=lambda user: int(user[1]))
                found[queue] = [_named(queue, text) for text, _ in placed]
        return {queue: users for queue, users in found.items() if users}

    def expire_queues(self) -> list[str]:
        looked_at = self._again(scripts.LOOK, [self._keys.topology], [b"ending", _LOOK_AGAIN, b"1000"])
        gone: list[str] = []
        for queue in map(self._keys.name, looked_at):
            base = self._keys.queue(queue)
            [end] = self._again(scripts.OVER, [base], [])
            if end and end[1] == b"1":
                if self.end(queue):
                    gone.append(queue)
            elif end:
                self._mark(b":ending", base, end[0])
        return gone

    def _mark_end(self, base: bytes, at: bytes) -> None:
        if self._link.split and at not in (b"", b"0"):
            self._mark(b":ending", base, at)


def _by_queue(users: Sequence[User]) -> list[tuple[str, list[User]]]:
    ordered = sorted(users, key=lambda user: user.queue)
    return [(queue, list(group)) for queue, group in groupby(ordered, key=lambda user: user.queue)]


def _user(user: User) -> bytes:
    return (b"c" if user.consumer else b"o") + user.who.encode("utf-8", "surrogatepass")


def _named(queue: str, text: bytes) -> User:
    return User(queue, text[1:].decode("utf-8", "surrogatepass"), text[:1] == b"c")
