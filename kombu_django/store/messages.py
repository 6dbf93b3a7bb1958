"""The messages of the ORM store: put, claim, settle, and look."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from django.db import connections, transaction
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
from kombu_django.models import Queue
from kombu_django.store import sql, waiting
from kombu_django.store.errors import translated
from kombu_django.store.topology import DjangoTopology, queue_spec

CAPABILITIES = Capabilities(
    name="django",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
        }
    ),
    max_batch=500,
    max_priority=32,
)
_KNOWN_FOR = 1.0
"""Seconds after which an idle claim looks again which priorities its queues have."""


class DjangoStore(DjangoTopology):
    """Queues in the database ``alias``.

    Whatever is called inside ``transaction.atomic(using=alias)`` is part of that transaction: a ``put`` becomes
    visible, and a ``settle`` final, when it commits. Each thread has a connection of its own, as always in Django.
    """

    capabilities = CAPABILITIES

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._priorities: dict[str, int] = {}
        self._priorities_read = 0.0
        self._woken = threading.Event()

    def open(self) -> None:
        """See that the database answers and has the tables."""
        self._dialect()
        with translated(self.alias):
            self._version()

    def close(self) -> None:
        """Nothing: Django closes its connections itself."""

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
        batches = [items[at : at + sql.ROWS_A_STATEMENT] for at in range(0, len(items), sql.ROWS_A_STATEMENT)]
        with translated(self.alias), self._together(len(batches) > 1):
            if not batches and version not in (None, self._version()):
                raise TopologyMoved
            for batch in batches:
                self._put(batch, version)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        wanted = {queue: limit for queue, limit in wants.items() if limit > 0}
        if not wanted:
            return []
        with translated(self.alias):
            levels = self._levels(list(wanted))
            if self._writers_wait() and not self._anything_due(levels):
                return []
            parameters: list[Any] = [_micro(lease), random.getrandbits(63)]
            for queue, limit in wanted.items():
                for priority in range(levels[queue], -1, -1):
                    parameters += [queue, priority, limit]
                parameters.append(limit)
            rows = self._fetch(sql.claim(self._dialect(), tuple(levels.values())), parameters)
        order = {queue: place for place, queue in enumerate(wanted)}
        rows.sort(key=lambda row: (order[row[1]], -row[2], row[7], row[0]))
        return [_delivery(row) for row in rows]

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
                extended |= self._affected(statement, [_micro(seconds), token], group)
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
            parameters = [_micro(lease), random.getrandbits(63), limit]
            return [_delivery(row) for row in self._fetch(sql.claim_expired(self._dialect()), parameters)]

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with translated(self.alias):
            rows = self._fetch(sql.browse(self._dialect()), [queue, int(after or 0), limit])
        return [_delivery(row) for row in rows]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        if not ids:
            return []
        with translated(self.alias):
            parameters = [_micro(lease), random.getrandbits(63), queue, *map(int, ids)]
            rows = self._fetch(sql.claim_chosen(self._dialect(), len(ids)), parameters)
        return [_delivery(row) for row in sorted(rows, key=lambda row: int(row[0]))]

    def _put(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        queues = {queue for queue, _ in items}
        parameters: list[Any] = []
        for place, (queue, each) in enumerate(items):
            ttl = None if each.ttl is None else _micro(each.ttl)
            parameters += [place, queue, each.priority, _micro(each.delay), ttl, each.head, each.body]
        parameters += [version, version, *queues, len(queues)]
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql.put(self._dialect(), len(items), len(queues)), parameters)
            if cursor.rowcount != len(items):
                raise TopologyMoved

    def _settle(self, group: list[Outcome]) -> set[Lease]:
        first, leases = group[0], [outcome.lease for outcome in group]
        match first:
            case Done():
                return self._affected(sql.done(len(leases)), [first.lease.token], leases)
            case Release(delay=delay, counted=counted):
                delays = [_micro(delay)] * 2 if delay else []
                statement = sql.release(self._dialect(), len(leases), bool(delay))
                return self._affected(statement, [int(not counted), *delays, first.lease.token], leases)
            case Move(into=into):
                with transaction.atomic(using=self.alias):
                    gone = self._affected(sql.done(1), [first.lease.token], leases)
                    if gone and into:
                        self.put(into)
                    return gone

    def _affected(self, statement: str, parameters: list[object], leases: Sequence[Lease]) -> set[Lease]:
        """Which of the leases the statement found to be current."""
        found = {row[0] for row in self._fetch(statement, [*parameters, *(lease.id for lease in leases)])}
        return {lease for lease in leases if lease.id in found}

    def _levels(self, queues: Sequence[str]) -> dict[str, int]:
        """The highest priority of each queue, remembered for a while."""
        known = self._priorities
        if time.monotonic() - self._priorities_read > _KNOWN_FOR or any(queue not in known for queue in queues):
            rows = Queue.objects.using(self.alias).filter(name__in=[*queues, *known])
            self._priorities = {
                **dict.fromkeys(queues, 0),
                **{row.name: queue_spec(row).max_priority for row in rows},
            }
            self._priorities_read = time.monotonic()
        return {queue: self._priorities[queue] for queue in queues}

    def _anything_due(self, levels: Mapping[str, int]) -> bool:
        due = self._due_in(levels)
        return due is not None and due <= 0

    def _due_in(self, levels: Mapping[str, int]) -> float | None:
        parameters = [each for queue, highest in levels.items() for p in range(highest + 1) for each in (queue, p)]
        rows = self._fetch(sql.next_due(self._dialect(), tuple(levels.values())), parameters)
        return None if rows[0][0] is None else int(rows[0][0]) / 1e6

    def _writers_wait(self) -> bool:
        """SQLite has one writer at a time: look before taking the lock for nothing."""
        return connections[self.alias].vendor == "sqlite"

    def _fetch(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def _dialect(self) -> sql.Dialect:
        return sql.dialect(connections[self.alias].vendor)

    @contextmanager
    def _together(self, wanted: bool) -> Iterator[None]:
        """One transaction around several statements."""
        if wanted:
            with transaction.atomic(using=self.alias):
                yield
        else:
            yield

    @contextmanager
    def _visiting(self) -> Iterator[None]:
        """Close what a thread that had no connection opened for this call: the keeper's, which is rarely needed."""
        connection: BaseDatabaseWrapper = connections[self.alias]
        had_one = connection.connection is not None
        try:
            yield
        finally:
            if not had_one and not connection.in_atomic_block:
                connection.close()


def _delivery(row: tuple[Any, ...]) -> Delivery:
    id, queue, priority, deliveries, token, expired, age, _, head, body = row
    return Delivery(
        lease=Lease(queue, id, token or 0),
        head=head,
        body=bytes(body),
        priority=priority,
        delivery_count=deliveries,
        expired=bool(expired),
        age=int(age) / 1e6,
    )


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


def _micro(seconds: float) -> int:
    return round(seconds * 1e6)
