"""The messages of the ORM store: put, claim, settle, and look."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from kombu.exceptions import NotSupported, OperationalError
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    MessageId,
    Move,
    Outcome,
    Release,
    TopologyMoved,
)
from kombu_django.store import sql, waiting
from kombu_django.store.database import micro
from kombu_django.store.errors import translated
from kombu_django.store.limits import DjangoLimits
from kombu_django.store.rows import delivery, turn, wanting

CAPABILITIES = Capabilities(
    name="django",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-overflow",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
            "x-single-active-consumer",
        }
    ),
    max_batch=500,
    max_priority=32,
)


class DjangoStore(DjangoLimits):
    """Queues in the database ``alias``.

    Whatever is called inside ``transaction.atomic(using=alias)`` is part of that transaction: a ``put`` becomes
    visible, and a ``settle`` final, when it commits. Each thread has a connection of its own, as always in Django.
    """

    capabilities = CAPABILITIES

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._woken = threading.Event()
        self._opened: BaseDatabaseWrapper | None = None

    def open(self) -> None:
        """See that the database answers and has the tables."""
        self._dialect()
        mine = connections[self.alias]
        opened = mine.connection is None
        with translated(self.alias):
            self._version()
        self._opened = mine if opened else None

    def close(self) -> None:
        """Close what :meth:`open` opened in this thread, unless a transaction is open: nobody else may do it there."""
        mine, self._opened = self._opened, None
        if mine is not None and mine is connections[self.alias] and not mine.in_atomic_block:
            mine.close()

    def within(self, connection: object) -> DjangoStore:
        """``connection``: the database's alias or its Django connection, in whose ``atomic`` block the caller is."""
        mine = connections[self.alias]
        if connection not in (self.alias, mine):
            raise NotSupported(f"within={connection!r}: this queue is in the database {self.alias!r}")
        if not mine.in_atomic_block:
            raise OperationalError(f"within={connection!r}: no transaction is open on database {self.alias!r}")
        return self

    @property
    def in_transaction(self) -> bool:
        return connections[self.alias].in_atomic_block

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with translated(self.alias):
            if not self._may_refuse(items):
                try:
                    self._put(items, version)
                except TopologyMoved:
                    self._look_who_refuses(items)
                    if not self._may_refuse(items):
                        raise
                else:
                    return
            with self._together():
                if version not in (None, self._version()):
                    raise TopologyMoved
                self._see_room(items)
                self._put(items, version, room=True)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        wanted = {queue: limit for queue, limit in wants.items() if limit > 0}
        if not wanted:
            return []
        with translated(self.alias):
            levels = self._levels(list(wanted))
            if self._writers_wait() and not self._anything_due(levels):
                return []
            parameters = [each for queue, limit in wanted.items() for each in wanting(queue, levels[queue], limit)]
            rows = self._lease(sql.claim(self._dialect(), tuple(levels.values())), lease, parameters)
        order = {queue: place for place, queue in enumerate(wanted)}
        rows.sort(key=lambda row: (order[row[1]], *turn(row)))
        return [delivery(row) for row in rows]

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        groups = [list(group) for _, group in groupby(outcomes, key=_alike)]
        with self._visiting(), translated(self.alias), self._together(len(groups) > 1):
            settled = {lease for group in groups for lease in self._settle(group)}
        return [_taken(outcome.lease, settled) for outcome in outcomes]

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        extended: set[Lease] = set()
        with self._visiting(), translated(self.alias):
            for token, group in _by_token(leases):
                statement = sql.extend(self._dialect(), len(group))
                extended |= self._affected(statement, [micro(seconds), token], group)
                if others := [lease for lease in group if lease not in extended]:
                    extended |= self._affected(sql.held(len(others)), [token], others)
        return [lease if lease in extended else None for lease in leases]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        with translated(self.alias):
            waiting.wait(connections[self.alias], lambda: self._due_in(self._levels(queues)), timeout, self._woken)

    def wake(self) -> None:
        self._woken.set()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        if not queues:
            return {}
        with translated(self.alias):
            rows = self._fetch(sql.counts(self._dialect(), len(queues)), list(queues))
        return {
            name: Counts(
                ready=int(ready),
                delayed=int(delayed),
                leased=int(leased),
                oldest=None if oldest is None else int(oldest) / 1e6,
            )
            for name, ready, delayed, leased, oldest in rows
        }

    def purge(self, queue: str) -> int:
        with translated(self.alias), connections[self.alias].cursor() as cursor:
            cursor.execute(sql.purge(self._dialect()), [queue])
            return int(cursor.rowcount)

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with translated(self.alias):
            if self._writers_wait() and not self._fetch(sql.any_expired(self._dialect()), []):
                return []
            return [delivery(row) for row in self._lease(sql.claim_expired(self._dialect()), lease, [limit])]

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with translated(self.alias):
            rows = self._fetch(sql.browse(self._dialect()), [queue, int(after or 0), limit])
        return [delivery(row) for row in rows]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        if not ids:
            return []
        with translated(self.alias):
            rows = self._lease(sql.claim_chosen(self._dialect(), len(ids)), lease, [queue, *map(int, ids)])
        return [delivery(row) for row in sorted(rows, key=lambda row: int(row[0]))]

    def _put(self, items: Sequence[tuple[str, Envelope]], version: int | None, room: bool = False) -> None:
        batches = [items[at : at + sql.ROWS_A_STATEMENT] for at in range(0, len(items), sql.ROWS_A_STATEMENT)]
        with self._together(len(batches) > 1):
            if not batches and version not in (None, self._version()):
                raise TopologyMoved
            for batch in batches:
                self._put_batch(batch, version, room)

    def _put_batch(self, items: Sequence[tuple[str, Envelope]], version: int | None, room: bool) -> None:
        queues = {queue for queue, _ in items}
        parameters: list[Any] = []
        for place, (queue, each) in enumerate(items):
            ttl = None if each.ttl is None else micro(each.ttl)
            parameters += [place, queue, each.priority, micro(each.delay), ttl, each.head, each.body]
        parameters += [version, version, *queues, len(queues)]
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql.put(self._dialect(), len(items), len(queues), room), parameters)
            if cursor.rowcount != len(items):
                raise TopologyMoved

    def _settle(self, group: list[Outcome]) -> set[Lease]:
        first, leases = group[0], [outcome.lease for outcome in group]
        match first:
            case Done():
                return self._affected(sql.done(len(leases)), [first.lease.token], leases)
            case Release(delay=delay, counted=counted):
                delays = [micro(delay)] * 2 if delay else []
                statement = sql.release(self._dialect(), len(leases), bool(delay))
                return self._affected(statement, [int(not counted), *delays, first.lease.token], leases)
            case Move(into=into):
                with self._together():
                    self._lock_refusing(into)
                    gone = self._affected(sql.done(1), [first.lease.token], leases)
                    if gone and into:
                        self.put(into)
                    return gone

    def _affected(self, statement: str, parameters: list[object], leases: Sequence[Lease]) -> set[Lease]:
        """Which of the leases the statement found to be current."""
        found = {row[0] for row in self._fetch(statement, [*parameters, *(lease.id for lease in leases)])}
        return {lease for lease in leases if lease.id in found}

    def _levels(self, queues: Sequence[str]) -> dict[str, int]:
        """The highest priority of each queue."""
        return {spec.name: spec.max_priority for spec in self._specs(queues)}

    def _anything_due(self, levels: Mapping[str, int]) -> bool:
        due = self._due_in(levels)
        return due is not None and due <= 0

    def _due_in(self, levels: Mapping[str, int]) -> float | None:
        parameters = [each for queue, highest in levels.items() for p in range(highest + 1) for each in (queue, p)]
        rows = self._fetch(sql.next_due(self._dialect(), tuple(levels.values())), parameters)
        return None if rows[0][0] is None else int(rows[0][0]) / 1e6


def _alike(outcome: Outcome) -> tuple[object, ...]:
    """Outcomes in a row that one statement can carry out have the same; a move has its own."""
    match outcome:
        case Done(lease):
            return "done", lease.token
        case Release(lease, delay, counted):
            return "release", lease.token, delay, counted
        case Move(lease):
            return "move", lease.token, lease.id


def _by_token(leases: Sequence[Lease]) -> Iterator[tuple[int | str, list[Lease]]]:
    ordered = sorted(leases, key=lambda lease: str(lease.token))
    return ((token, list(group)) for token, group in groupby(ordered, key=lambda lease: lease.token))


def _taken(lease: Lease, settled: set[Lease]) -> bool:
    """True once for each lease: a second outcome for the same one comes too late."""
    if lease in settled:
        settled.remove(lease)
        return True
    return False
