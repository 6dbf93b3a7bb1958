"""Who uses which queue: what a connection has said of itself, and what it knows of others."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from kombu.exceptions import NotFound
from kombu.transport.virtual.store import Attended, Store, User


class Attendance:
    """The users of one connection, renewed by its keeper; safe to use from several threads.

    ``kept`` tells whether the store knows users at all; where it does not, nothing happens here.
    """

    def __init__(self, store: Store, lease: float) -> None:
        self._store = store if isinstance(store, Attended) else None
        self._lease = lease
        self._users: set[User] = set()
        self._lock = threading.Lock()
        self._saying = threading.Lock()
        """Held while the store is told: nobody is renewed who has just left."""

    @property
    def kept(self) -> bool:
        return self._store is not None

    @property
    def present(self) -> bool:
        """Whether there is anybody to renew."""
        return bool(self._users)

    def has(self, user: User) -> bool:
        """Whether it is there and is renewed: it did not leave, and its queue did not end meanwhile."""
        return user in self._users

    def enter(self, user: User) -> None:
        """Be there until :meth:`leave`. Raises :class:`NotFound` when the queue is gone."""
        if self._store is None:
            return
        if not self._store.attend([user], self._lease)[0]:
            raise NotFound(f"no queue {user.queue!r}: it was deleted meanwhile")
        with self._lock:
            self._users.add(user)

    def leave(self, users: Iterable[User]) -> None:
        """No longer use these."""
        with self._saying:
            with self._lock:
                leaving = [user for user in users if user in self._users]
                self._users.difference_update(leaving)
            if self._store is not None and leaving:
                self._store.leave(leaving)

    def forget(self, queue: str) -> None:
        """The queue is gone, and its users with it."""
        with self._lock:
            self._users = {user for user in self._users if user.queue != queue}

    def touch(self, queue: str) -> None:
        """A moment's use, which lets a queue with ``x-expires`` live on."""
        if self._store is not None:
            self._store.attend([User(queue, "")], 0.0)

    def renew(self) -> None:
        """Say that all are still there. Those whose queue is gone are left out from now on."""
        with self._saying:
            with self._lock:
                users = list(self._users)
            if self._store is None or not users:
                return
            for user, there in zip(users, self._store.attend(users, self._lease), strict=True):
                if not there:
                    with self._lock:
                        self._users.discard(user)

    def of(self, queues: Sequence[str]) -> dict[str, list[User]]:
        """All users of these queues, this connection's and others', in the order they came."""
        return {} if self._store is None else self._store.attending(queues)

    def expire_queues(self) -> list[str]:
        """Delete the queues whose life is over."""
        return [] if self._store is None else self._store.expire_queues()
