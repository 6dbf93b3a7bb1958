"""How full queues are that are limited in length or bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kombu.sql import queues_sql
from kombu.sql.claims import claims
from kombu.sql.database import Database, Row, operation
from kombu.sql.rows import QueueRow, delivery, queue_row, turn
from kombu.sql.users import SQLUsers
from kombu.transport.virtual.store import Delivery, Envelope, QueueFull, QueueSpec

_Items = Sequence[tuple[str, Envelope]]
_TOKEN, _BODY = 4, 9
_KNOWN_FOR = 60.0
"""Seconds after which a claim looks again what its queues are; at once where the topology is seen to have moved."""


class SQLLimits(SQLUsers):
    """The part of the store that counts what may be claimed, for only that fills a queue:
    :class:`kombu.transport.virtual.store.Bounded`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._refusing: frozenset[str] = frozenset()
        self._known_since = 0.0

    @operation
    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        limited = [spec.name for spec in self._specs(queues) if self._excess(spec)]
        if not limited:
            return []
        with self.database.transaction():
            locked = self._lock(limited)
            return [delivery(row, each.spec.name) for each in locked for row in self._claim_excess(each.spec, lease)]

    def _claim_excess(self, spec: QueueSpec, lease: float) -> list[Row]:
        excess = self._excess(spec)
        if not excess:
            return []
        return self._still_too_much(spec, sorted(claims(self.database).head(spec, excess, lease), key=turn))

    def _still_too_much(self, spec: QueueSpec, rows: list[Row]) -> list[Row]:
        """Others may have claimed between the count and the claim: what fits by now goes back, from the end."""
        number, size = self._ready(spec)
        kept = list(rows)
        while kept:
            number, size = number + 1, size + len(kept[-1][_BODY])
            if _too_many(spec, number) or _too_heavy(spec, size):
                break
            kept.pop()
        if back := rows[len(kept) :]:
            claims(self.database).release(back[0][_TOKEN], [row[0] for row in back], 0.0, counted=False)
        return kept

    def _specs(self, queues: Sequence[str]) -> list[QueueSpec]:
        """The queues, remembered for a while; one that is not there has nothing special."""
        known = self._known
        if time.monotonic() - self._known_since > _KNOWN_FOR or any(queue not in known for queue in queues):
            names = list({*queues, *known})
            rows = map(queue_row, self._fetch(queues_sql.known(self.database.dialect, len(names)), names))
            self._known = known = {
                **{queue: QueueSpec(name=queue) for queue in queues},
                **{row.spec.name: row.spec for row in rows},
            }
            self._known_since = time.monotonic()
        return [known[queue] for queue in queues]

    def _may_refuse(self, items: _Items) -> bool:
        """Whether a queue of these is known to refuse when it is full."""
        return bool(self._refusing) and any(queue in self._refusing for queue, _ in items)

    def _lock_refusing(self, items: _Items) -> list[QueueRow]:
        """The queues of these that refuse, whose rows are this transaction's until it ends.

        Before any message is locked: others lock the queue first, and wait for its messages then.
        """
        d, names = self.database.dialect, list({queue for queue, _ in items})
        if d.one_writer:
            self._run(queues_sql.touch(d, len(names)), names)
        return list(map(queue_row, self._fetch(queues_sql.lock_refusing(d, len(names)), names)))

    def _look_who_refuses(self, items: _Items) -> None:
        names = list({queue for queue, _ in items})
        if names:
            rows = self._fetch(queues_sql.refusing(self.database.dialect, len(names)), names)
            self._refusing |= frozenset(row[0] for row in rows)

    def _see_room(self, items: _Items) -> None:
        """Raises :class:`QueueFull`. Until the transaction ends nobody else puts where there is room for this."""
        for row in self._lock_refusing(items):
            number, size = self._ready(row.spec)
            new = [envelope for queue, envelope in items if queue == row.spec.name]
            size += sum(len(envelope.body) for envelope in new)
            if _too_many(row.spec, number + len(new)) or _too_heavy(row.spec, size):
                raise QueueFull(row.spec.name)

    def _excess(self, spec: QueueSpec) -> int:
        """How many messages at its head are too many."""
        if spec.max_length is None and spec.max_bytes is None:
            return 0
        number, size = self._ready(spec)
        return max(_too_many(spec, number), self._at_head(spec.name, _too_heavy(spec, size)))

    def _ready(self, spec: QueueSpec) -> tuple[int, int]:
        statement = queues_sql.ready(self.database.dialect, weigh=spec.max_bytes is not None)
        number, size = self._fetch(statement, [spec.name])[0]
        return int(number), int(size)

    def _at_head(self, queue: str, size: int) -> int:
        return int(self._fetch(queues_sql.at_head(self.database.dialect), [queue, size])[0][0]) if size else 0


def _too_many(spec: QueueSpec, number: int) -> int:
    return 0 if spec.max_length is None else max(number - spec.max_length, 0)


def _too_heavy(spec: QueueSpec, size: int) -> int:
    return 0 if spec.max_bytes is None else max(size - spec.max_bytes, 0)
