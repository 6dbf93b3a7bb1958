"""Who uses which queue, by rows that are renewed, and the ends of queues that nobody uses any more."""

from __future__ import annotations

from collections.abc import Sequence

from kombu.sql import queues_sql
from kombu.sql.database import visit
from kombu.sql.rows import QueueRow, micro, queue_row
from kombu.sql.topology import SQLTopology, Unchanged
from kombu.transport.virtual.store import User


class SQLUsers(SQLTopology):
    """The part of the store that knows who is there: :class:`kombu.transport.virtual.store.Attended`.

    Whatever changes the users or the end of a queue locks its row first, and sees all that others did before.
    """

    @visit
    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        if not users:
            return []
        with self.database.transaction():
            rows = self._lock(_queues(users))
            now = self._now()
            alive = {row.spec.name: row for row in rows if row.expires_at is None or row.expires_at > now}
            if seconds:
                self._enter([(alive[user.queue], user) for user in users if user.queue in alive], now, seconds)
            for row in alive.values():
                self._live_on(row, now, seconds)
        return [user.queue in alive for user in users]

    @visit
    def leave(self, users: Sequence[User]) -> None:
        if not users:
            return
        with self.database.transaction():
            rows = self._lock(_queues(users))
            now = self._now()
            for row in rows:
                self._leave(row, [user.who for user in users if user.queue == row.spec.name], now)

    @visit
    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        if not queues:
            return {}
        found: dict[str, list[User]] = {}
        for queue, who, consumer in self._fetch(queues_sql.attending(self.database.dialect, len(queues)), list(queues)):
            found.setdefault(queue, []).append(User(queue, who, bool(consumer)))
        return found

    @visit
    def expire_queues(self) -> list[str]:
        d = self.database.dialect

        def remove() -> list[str]:
            ended = list(map(queue_row, self._fetch(queues_sql.lock_ended(d))))
            if not ended:
                raise Unchanged  # another was faster
            self._remove(ended)
            return [row.spec.name for row in ended]

        if not self._fetch(queues_sql.any_ended(d)):
            return []
        return self._change(remove, [])

    def _enter(self, users: Sequence[tuple[QueueRow, User]], now: int, seconds: float) -> None:
        """Each keeps the place it has; who was away too long has none."""
        d, queues = self.database.dialect, list({row.id for row, _ in users})
        if not queues:
            return
        self._run(queues_sql.forget_absent(d, len(queues)), [now, *queues])
        for row, user in users:
            self._run(queues_sql.enter(d), [row.id, user.who, user.consumer, now + micro(seconds)])

    def _live_on(self, row: QueueRow, now: int, seconds: float) -> None:
        """For its ``unused_life`` after the last of its users, or after now if this was a moment's use."""
        life = row.spec.unused_life
        if life is None:
            return
        if seconds:
            ends = int(self._fetch(queues_sql.last_user(self.database.dialect), [row.id])[0][0]) + micro(life)
        else:
            ends = max(now + micro(life), row.expires_at or 0)
        self._let_expire(row, ends)

    def _leave(self, row: QueueRow, leaving: Sequence[str], now: int) -> None:
        d = self.database.dialect
        there = [User(row.spec.name, *user) for user in self._fetch(queues_sql.users(d), [row.id, now])]
        gone = [user for user in there if user.who in leaving]
        stay = [user for user in there if user.who not in leaving]
        self._run(queues_sql.leave(d, len(leaving)), [row.id, *leaving])
        if not gone or row.spec.unused_life is None:
            return
        if row.spec.auto_delete and _consumers(gone) and not _consumers(stay):
            self._let_expire(row, now)
        elif not stay:
            self._let_expire(row, now + micro(row.spec.unused_life))

    def _let_expire(self, row: QueueRow, at: int) -> None:
        self._run(queues_sql.let_expire(self.database.dialect), [at, row.id])

    def _now(self) -> int:
        """Microseconds since 1970 by the database's clock."""
        return int(self._fetch(queues_sql.now(self.database.dialect))[0][0])


def _queues(users: Sequence[User]) -> list[str]:
    return sorted({user.queue for user in users})


def _consumers(users: Sequence[User]) -> int:
    return sum(bool(user.consumer) for user in users)
