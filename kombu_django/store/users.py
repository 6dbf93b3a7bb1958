"""Who uses which queue, by rows that are renewed, and the ends of queues that nobody uses any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import F, Max

from kombu.transport.virtual.store import User
from kombu_django.models import Queue, QueueUser
from kombu_django.store import queue_sql
from kombu_django.store.database import micro
from kombu_django.store.errors import translated
from kombu_django.store.topology import DjangoTopology, queue_spec


class DjangoUsers(DjangoTopology):
    """The part of the store that knows who is there: :class:`kombu.transport.virtual.store.Attended`.

    Whatever changes the users or the end of a queue locks its row first, and sees all that others did before.
    """

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        if not users:
            return []
        with self._visiting(), translated(self.alias), self._together():
            rows = self._locked({user.queue for user in users})
            now = self._now()
            alive = {row.name: row for row in rows if row.expires_at is None or row.expires_at > now}
            if seconds:
                self._enter([(alive[user.queue], user) for user in users if user.queue in alive], now, seconds)
            for row in alive.values():
                self._live_on(row, now, seconds)
        return [user.queue in alive for user in users]

    def leave(self, users: Sequence[User]) -> None:
        if not users:
            return
        with self._visiting(), translated(self.alias), self._together():
            rows = self._locked({user.queue for user in users})
            now = self._now()
            for row in rows:
                self._leave(row, [user.who for user in users if user.queue == row.name], now)

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        if not queues:
            return {}
        with self._visiting(), translated(self.alias):
            rows = self._fetch(queue_sql.attending(self._dialect(), len(queues)), list(queues))
        found: dict[str, list[User]] = {}
        for queue, who, consumer in rows:
            found.setdefault(queue, []).append(User(queue, who, bool(consumer)))
        return found

    def expire_queues(self) -> list[str]:
        def remove() -> list[str]:
            ended = list(self._rows(Queue).filter(expires_at__lte=self._now()).select_for_update().order_by("pk"))
            if ended:
                self._remove(ended)
            else:
                self._change_nothing()  # another was faster
            return [row.name for row in ended]

        with self._visiting(), translated(self.alias):
            if not self._fetch(queue_sql.any_ended(self._dialect()), []):
                return []
            return list(self._change(remove))

    def _locked(self, queues: Collection[str], **conditions: bool) -> list[Queue]:
        """These queues, whose rows are this transaction's until it ends.

        SQLite has one lock, for all who write: an update that changes nothing takes it before anything is read.
        """
        rows = self._rows(Queue).filter(name__in=queues, **conditions)
        if self._writers_wait():
            rows.update(expires_at=F("expires_at"))
        return list(rows.select_for_update().order_by("pk"))

    def _enter(self, users: Sequence[tuple[Queue, User]], now: int, seconds: float) -> None:
        """Each keeps the place it has; who was away too long has none."""
        places = {(queue.pk, user.who): user.consumer for queue, user in users}
        until = now + micro(seconds)
        self._users({queue for queue, _ in places}).filter(until__lte=now).delete()
        self._users().bulk_create(
            [QueueUser(queue_id=queue, who=who, consumer=each, until=until) for (queue, who), each in places.items()],
            update_conflicts=True,
            unique_fields=["queue", "who"],
            update_fields=["until"],
        )

    def _live_on(self, row: Queue, now: int, seconds: float) -> None:
        """For its ``unused_life`` after the last of its users, or after now if this was a moment's use."""
        life = queue_spec(row).unused_life
        if life is None:
            return
        if seconds:
            ends = int(self._users([row.pk]).aggregate(Max("until"))["until__max"]) + micro(life)
        else:
            ends = max(now + micro(life), row.expires_at or 0)
        self._let_expire(row, ends)

    def _leave(self, row: Queue, leaving: Sequence[str], now: int) -> None:
        spec = queue_spec(row)
        there = list(self._users([row.pk]).filter(until__gt=now))
        gone = [user for user in there if user.who in leaving]
        stay = [user for user in there if user.who not in leaving]
        self._users([row.pk]).filter(who__in=leaving).delete()
        if not gone or spec.unused_life is None:
            return
        if spec.auto_delete and _consumers(gone) and not _consumers(stay):
            self._let_expire(row, now)
        elif not stay:
            self._let_expire(row, now + micro(spec.unused_life))

    def _users(self, queues: Collection[int] | None = None) -> Any:
        rows = self._rows(QueueUser)
        return rows if queues is None else rows.filter(queue__in=queues)


def _consumers(users: Sequence[QueueUser]) -> int:
    return sum(user.consumer for user in users)
