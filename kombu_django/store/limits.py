"""How full queues are that are limited in length or bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kombu.transport.virtual.store import Delivery, Envelope, QueueFull, QueueSpec
from kombu_django.models import Queue
from kombu_django.store import queue_sql, sql
from kombu_django.store.errors import translated
from kombu_django.store.rows import Row, delivery, turn, wanting
from kombu_django.store.topology import queue_spec
from kombu_django.store.users import DjangoUsers

_Items = Sequence[tuple[str, Envelope]]
_TOKEN, _BODY = 4, 9
_KNOWN_FOR = 1.0
"""Seconds after which an idle claim looks again what its queues are."""


class DjangoLimits(DjangoUsers):
    """The part of the store that counts what may be claimed, for only that fills a queue:
    :class:`kombu.transport.virtual.store.Bounded`."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._refusing: frozenset[str] = frozenset()
        self._known: dict[str, QueueSpec] = {}
        self._known_since = 0.0

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        with translated(self.alias):
            limited = [spec.name for spec in self._specs(queues) if self._excess(spec)]
            if not limited:
                return []
            with self._together():
                locked = [queue_spec(row) for row in self._locked(limited)]
                return [delivery(row) for spec in locked for row in self._claim_excess(spec, lease)]

    def _claim_excess(self, spec: QueueSpec, lease: float) -> list[Row]:
        excess = self._excess(spec)
        if not excess:
            return []
        statement = sql.claim_head(self._dialect(), spec.max_priority)
        rows = sorted(self._lease(statement, lease, wanting(spec.name, spec.max_priority, excess)), key=turn)
        return self._still_too_much(spec, rows)

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
            statement = sql.release(self._dialect(), len(back), False)
            self._fetch(statement, [1, back[0][_TOKEN], *(row[0] for row in back)])
        return kept

    def _specs(self, queues: Sequence[str]) -> list[QueueSpec]:
        """The queues, remembered for a while; one that is not there has nothing special."""
        known = self._known
        if time.monotonic() - self._known_since > _KNOWN_FOR or any(queue not in known for queue in queues):
            rows = self._rows(Queue).filter(name__in=[*queues, *known])
            self._known = known = {
                **{queue: QueueSpec(name=queue) for queue in queues},
                **{row.name: queue_spec(row) for row in rows},
            }
            self._known_since = time.monotonic()
        return [known[queue] for queue in queues]

    def _may_refuse(self, items: _Items) -> bool:
        """Whether a queue of these is known to refuse when it is full."""
        return bool(self._refusing) and any(queue in self._refusing for queue, _ in items)

    def _lock_refusing(self, items: _Items) -> None:
        """Before any message is locked: others lock the queue first, and wait for its messages then."""
        if self._may_refuse(items):
            self._locked({queue for queue, _ in items}, refuses=True)

    def _look_who_refuses(self, items: _Items) -> None:
        rows = self._rows(Queue).filter(name__in={queue for queue, _ in items}, refuses=True)
        self._refusing |= frozenset(rows.values_list("name", flat=True))

    def _see_room(self, items: _Items) -> None:
        """Raises :class:`QueueFull`. Until the transaction ends nobody else puts where there is room for this."""
        for row in self._locked({queue for queue, _ in items}, refuses=True):
            spec = queue_spec(row)
            number, size = self._ready(spec)
            new = [envelope for queue, envelope in items if queue == row.name]
            size += sum(len(envelope.body) for envelope in new)
            if _too_many(spec, number + len(new)) or _too_heavy(spec, size):
                raise QueueFull(row.name)

    def _excess(self, spec: QueueSpec) -> int:
        """How many messages at its head are too many."""
        if spec.max_length is None and spec.max_bytes is None:
            return 0
        number, size = self._ready(spec)
        return max(_too_many(spec, number), self._at_head(spec.name, _too_heavy(spec, size)))

    def _ready(self, spec: QueueSpec) -> tuple[int, int]:
        statement = queue_sql.ready(self._dialect(), weigh=spec.max_bytes is not None)
        number, size = self._fetch(statement, [spec.name])[0]
        return int(number), int(size)

    def _at_head(self, queue: str, size: int) -> int:
        return int(self._fetch(queue_sql.at_head(self._dialect()), [queue, size])[0][0]) if size else 0


def _too_many(spec: QueueSpec, number: int) -> int:
    return 0 if spec.max_length is None else max(number - spec.max_length, 0)


def _too_heavy(spec: QueueSpec, size: int) -> int:
    return 0 if spec.max_bytes is None else max(size - spec.max_bytes, 0)
