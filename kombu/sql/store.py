"""The messages of an SQL store: put, claim, settle, and look."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from kombu.exceptions import ConnectionError, PublishUncertain
from kombu.sql import messages_sql, queues_sql, waiting
from kombu.sql.claims import Claims, claims
from kombu.sql.database import Database, Row, long_operation, operation, visit
from kombu.sql.errors import read_only
from kombu.sql.floors import NO_FLOORS, KnownFloors
from kombu.sql.limits import SQLLimits
from kombu.sql.rows import delivery, micro, turn
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

QUEUE_ARGUMENTS = frozenset(
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
)


class SQLStore(SQLLimits):
    """Queues in a database. What is called inside the caller's transaction is part of it: a ``put`` becomes visible,
    and a ``settle`` final, when it commits."""

    def __init__(self, name: str, database: Database) -> None:
        super().__init__(database)
        self.capabilities = Capabilities(name=name, queue_arguments=QUEUE_ARGUMENTS, max_batch=500, max_priority=32)
        self._waiter: waiting.Waiter | None = None
        self._names: dict[int, str] = {}
        self._floors = KnownFloors()

    def open(self) -> None:
        """See that the database answers, that it is new enough, that it has the tables and that they can be written."""
        try:
            self.database.open()
            self._look()
            self._see_that_it_can_be_written()
            self._waiter = self.database.waiter()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.close()
        self.database.close()

    @property
    def in_transaction(self) -> bool:
        return self.database.in_callers_transaction

    @property
    def place(self) -> Hashable | None:
        return self.database.place

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` too: see there."""
        try:
            put = self._put_now if len(items) <= self.capabilities.max_batch else self._put_many
            put(items, version)
        except ConnectionError as exc:
            if items and exc.uncertain:
                raise PublishUncertain(f"{exc}; {len(items)} messages may have been stored, or not") from exc
            raise

    @operation
    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        wanted = {queue: limit for queue, limit in wants.items() if limit > 0}
        if not wanted:
            return []
        levels = self._levels(list(wanted))
        if self.database.dialect.one_writer and not self._anything_due(levels):
            return []
        found = self._claim(wanted, levels, lease)
        return [delivery(row, queue) for queue in wanted for row in sorted(found[queue], key=turn)]

    @visit
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        groups = [list(group) for _, group in groupby(outcomes, key=_alike)]
        if len(groups) == 1:
            settled = self._settle(groups[0])
        else:
            with self.database.transaction():
                settled = {lease for group in groups for lease in self._settle(group)}
        return [_taken(outcome.lease, settled) for outcome in outcomes]

    @visit
    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        d, extended = self.database.dialect, set[Lease]()
        for token, group in _by_token(leases):
            found = self._claims.extend(token, [lease.id for lease in group], seconds)
            if others := [lease.id for lease in group if lease.id not in found]:
                rows = self._fetch(messages_sql.live(d, len(others)), [token, *d.ids(others)])
                found |= {row[0] for row in rows}
            extended |= {lease for lease in group if lease.id in found}
        return [lease if lease in extended else None for lease in leases]

    @operation
    def wait(self, queues: Sequence[str], timeout: float) -> None:
        waiter = self._waiter or waiting.Waiter(waiting.POLL)
        timeout = min(timeout, self.database.answer_timeout / 2)
        waiting.wait(waiter, queues, self._look_for(self._levels(queues)), timeout)

    def wake(self) -> None:
        if (waiter := self._waiter) is not None:
            waiter.wake()

    @long_operation
    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        if not queues:
            return {}
        rows = self._fetch(messages_sql.counts(self.database.dialect, len(queues)), list(queues))
        return {
            name: Counts(
                ready=int(ready),
                delayed=int(delayed),
                leased=int(leased),
                oldest=None if oldest is None else int(oldest) / 1e6,
            )
            for name, ready, delayed, leased, oldest in rows
        }

    @operation
    def pause(self, queue: str, paused: bool = True) -> bool:
        """Let the queue take messages, and give none out; or again, with ``paused=False``. False without the queue."""
        found = self._run(queues_sql.pause(self.database.dialect), [paused, queue]) > 0
        if found and self.database.announces:
            self.database.announce({queue})
        return found

    @operation
    def paused(self) -> list[str]:
        """The queues that are."""
        return [row[0] for row in self._fetch(queues_sql.paused(self.database.dialect))]

    @long_operation
    def purge(self, queue: str) -> int:
        return self._run(messages_sql.purge(self.database.dialect), [queue])

    @operation
    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        d = self.database.dialect
        if d.one_writer and not self._fetch(messages_sql.any_expired(d)):
            return []
        rows = self._claims.expired(limit, lease)
        names = self._names_of(rows)
        return [delivery(row, names[row[1]]) for row in rows]

    @operation
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        rows = self._fetch(messages_sql.browse(self.database.dialect), [queue, int(after or 0), limit])
        return [delivery(row, queue) for row in rows]

    @operation
    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        if not ids:
            return []
        rows = self._claims.chosen(queue, list(map(int, ids)), lease)
        return [delivery(row, queue) for row in sorted(rows, key=lambda row: int(row[0]))]

    def _claim(self, wanted: Mapping[str, int], levels: Mapping[str, int], lease: float) -> dict[str, list[Row]]:
        """The rows of each queue, in no order."""
        floors = self._floors.current()
        found = self._by_queue(wanted, self._claims.due(wanted, levels, lease, floors))
        if short := {queue: limit - len(found[queue]) for queue, limit in wanted.items() if len(found[queue]) < limit}:
            self._floors.forget()
            if any(queue in short for queue, _ in floors):
                for queue, rows in self._by_queue(short, self._claims.due(short, levels, lease, NO_FLOORS)).items():
                    found[queue] += rows
        for queue in wanted:
            if queue not in short:
                self._floors.note(queue, found[queue])
        return found

    def _by_queue(self, wanted: Mapping[str, int], rows: list[Row]) -> dict[str, list[Row]]:
        if len(wanted) == 1:
            return dict.fromkeys(wanted, rows)
        found: dict[str, list[Row]] = {queue: [] for queue in wanted}
        names = self._names_of(rows)
        for row in rows:
            found[names[row[1]]].append(row)
        return found

    def _names_of(self, rows: Sequence[Row]) -> Mapping[int, str]:
        """Of the queues, by their ids. Each is asked once: an id is never used again."""
        names = self._names
        if unknown := {row[1] for row in rows} - names.keys():
            d = self.database.dialect
            names.update((id, "") for id in unknown)  # of those that are gone meanwhile
            names.update(self._fetch(queues_sql.names(d, len(unknown)), d.ids(unknown)))
        return names

    @cached_property
    def _claims(self) -> Claims:
        return claims(self.database)

    @operation
    def _look(self) -> None:
        self._fetch(queues_sql.look(self.database.dialect))

    @operation
    def _see_that_it_can_be_written(self) -> None:
        """A standby answers, and has the tables. Other databases are not asked: only a write is sure to find out."""
        if self.database.dialect.name == "PostgreSQL":
            [[setting]] = self._fetch("SELECT current_setting('transaction_read_only')")
            if setting == "on":
                raise read_only(self.database.name, "transaction_read_only is on")

    @operation
    def _put_now(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        self._put(items, version)

    @long_operation
    def _put_many(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        self._put(items, version)

    def _put(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        if not self._may_refuse(items):
            try:
                self._put_batches(items, version)
            except TopologyMoved:
                self._look_who_refuses(items)
                if not self._may_refuse(items):
                    raise
            else:
                return
        with self.database.transaction():
            if version not in (None, self._version()):
                raise TopologyMoved
            self._see_room(items)
            self._put_batches(items, version, room=True)

    def _put_batches(self, items: Sequence[tuple[str, Envelope]], version: int | None, room: bool = False) -> None:
        if not items:
            if version not in (None, self._version()):
                self._known.clear()
                raise TopologyMoved
        elif len(items) <= messages_sql.ROWS_A_STATEMENT:
            self._put_batch(items, version, room)
        else:
            with self.database.transaction():
                for at in range(0, len(items), messages_sql.ROWS_A_STATEMENT):
                    self._put_batch(items[at : at + messages_sql.ROWS_A_STATEMENT], version, room)
        if items and self.database.announces:
            self.database.announce({queue for queue, _ in items})

    def _put_batch(self, items: Sequence[tuple[str, Envelope]], version: int | None, room: bool) -> None:
        d = self.database.dialect
        queue, (head, body, priority, delay, ttl) = items[0]
        numbers = self._numbers
        number = numbers.queues.get(queue) if version == numbers.version else None
        if number is not None and (len(items) == 1 or _are_alike(items)):
            statement = messages_sql.put_alike(d, len(items), delay > 0, ttl is not None)
            parameters: list[Any] = [priority]
            if delay > 0:
                parameters += [micro(delay)] * 2
            if ttl is not None:
                parameters.append(micro(ttl))
            parameters.append(number)
            if len(items) == 1:
                parameters += (head, body)
            else:
                parameters += messages_sql.contents(d, [envelope[:2] for _, envelope in items])
            parameters += (numbers.root, version)
        else:
            queues = {queue for queue, _ in items}
            statement = messages_sql.put(d, len(items), len(queues), room)
            parameters = []
            for place, (queue, (head, body, priority, delay, ttl)) in enumerate(items):
                parameters += (place, queue, priority, micro(delay), _maybe_micro(ttl), head, body)
            parameters += [version, version, *queues, len(queues)]
        if self._run(statement, parameters) != len(items):
            raise TopologyMoved

    def _settle(self, group: list[Outcome]) -> set[Lease]:
        first, leases = group[0], [outcome.lease for outcome in group]
        token, ids = first.lease.token, [lease.id for lease in leases]
        match first:
            case Done():
                found = self._claims.done(token, ids)
            case Release(delay=delay, counted=counted):
                self._floors.forget()
                found = self._claims.release(token, ids, delay, counted)
                if self.database.announces:
                    self.database.announce({lease.queue for lease in leases})
            case Move(into=into):
                with self.database.transaction():
                    if self._may_refuse(into):
                        self._lock_refusing(into)
                    found = self._claims.done(token, ids)
                    if found and into:
                        self._put(into, None)
        return {lease for lease in leases if lease.id in found}

    def _levels(self, queues: Sequence[str]) -> dict[str, int]:
        """The highest priority of each queue."""
        return {spec.name: spec.max_priority for spec in self._specs(queues)}

    def _anything_due(self, levels: Mapping[str, int]) -> bool:
        due = self._look_for(levels)()
        return due is not None and due <= 0

    def _look_for(self, levels: Mapping[str, int]) -> Callable[[], float | None]:
        """Asks for the seconds until something in these queues may be claimed, None for nothing."""
        statement = messages_sql.next_due(self.database.dialect, tuple(levels.values()))
        parameters = [each for queue, highest in levels.items() for p in range(highest + 1) for each in (queue, p)]

        def look() -> float | None:
            due = self._fetch(statement, parameters)[0][0]
            return None if due is None else int(due) / 1e6

        return look


def _maybe_micro(seconds: float | None) -> int | None:
    return None if seconds is None else micro(seconds)


def _are_alike(items: Sequence[tuple[str, Envelope]]) -> bool:
    """Whether they differ in head and body only."""
    queue, first = items[0]
    wanted = first[2:]
    return all(to == queue and each[2:] == wanted for to, each in items)


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
