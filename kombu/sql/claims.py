"""Claiming and settling rows of messages, in the two ways that databases have.

Where an UPDATE returns rows, each is one statement. Where it does not, a transaction locks and reads the rows first.
All answers are rows in the order of ``messages_sql`` columns, or the ids that were found to be the lease's.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from kombu.sql import messages_sql
from kombu.sql.database import Database, Row
from kombu.sql.floors import Floors
from kombu.sql.rows import micro, wanting
from kombu.transport.virtual.store import MessageId, QueueSpec

Token = int | str
Ids = Sequence[MessageId]


class Claims(ABC):
    """To be used in a session of ``database``."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dialect = database.dialect

    @abstractmethod
    def due(self, wants: Mapping[str, int], levels: Mapping[str, int], lease: float, floors: Floors) -> list[Row]:
        """Up to so many of each queue, which has these priorities, and nothing below the floors."""

    @abstractmethod
    def head(self, queue: QueueSpec, limit: int, lease: float) -> list[Row]:
        """What stands at the head of a queue, and nothing instead of those that another claims meanwhile."""

    @abstractmethod
    def chosen(self, queue: str, ids: Ids, lease: float) -> list[Row]:
        """These, but none with a live lease."""

    @abstractmethod
    def expired(self, limit: int, lease: float) -> list[Row]:
        """Those whose time to live is over."""

    @abstractmethod
    def done(self, token: Token, ids: Ids) -> set[MessageId]:
        """Remove them."""

    @abstractmethod
    def release(self, token: Token, ids: Ids, delay: float, counted: bool) -> set[MessageId]:
        """Give them back."""

    @abstractmethod
    def extend(self, token: Token, ids: Ids, seconds: float) -> set[MessageId]:
        """Keep them, but for those that an open transaction is settling: they are left as they are."""


class ReturningClaims(Claims):
    """One statement each."""

    def due(self, wants: Mapping[str, int], levels: Mapping[str, int], lease: float, floors: Floors) -> list[Row]:
        parameters = [each for queue, limit in wants.items() for each in wanting(queue, levels[queue], limit, floors)]
        statement = messages_sql.claim(self.dialect, tuple(levels[queue] for queue in wants))
        return self._lease(statement, lease, parameters)

    def head(self, queue: QueueSpec, limit: int, lease: float) -> list[Row]:
        statement = messages_sql.claim_head(self.dialect, queue.max_priority)
        return self._lease(statement, lease, wanting(queue.name, queue.max_priority, limit))

    def chosen(self, queue: str, ids: Ids, lease: float) -> list[Row]:
        return self._lease(messages_sql.claim_chosen(self.dialect, len(ids)), lease, [queue, *self.dialect.ids(ids)])

    def expired(self, limit: int, lease: float) -> list[Row]:
        return self._lease(messages_sql.claim_expired(self.dialect), lease, [limit])

    def done(self, token: Token, ids: Ids) -> set[MessageId]:
        return self._ids(messages_sql.done(self.dialect, len(ids)), [token, *self.dialect.ids(ids)])

    def release(self, token: Token, ids: Ids, delay: float, counted: bool) -> set[MessageId]:
        return self._ids(
            messages_sql.release(self.dialect, len(ids), bool(delay)),
            _release(token, self.dialect.ids(ids), delay, counted),
        )

    def extend(self, token: Token, ids: Ids, seconds: float) -> set[MessageId]:
        return self._ids(messages_sql.extend(self.dialect, len(ids)), [micro(seconds), token, *self.dialect.ids(ids)])

    def _lease(self, statement: str, lease: float, parameters: Sequence[Any]) -> list[Row]:
        """The rows that a statement claims, under a new token."""
        return self.database.fetch(statement, [micro(lease), _new_token(), *parameters])

    def _ids(self, statement: str, parameters: Sequence[Any]) -> set[MessageId]:
        return {row[0] for row in self.database.fetch(statement, parameters)}


class LockingClaims(Claims):
    """A transaction each: lock and read, then change."""

    def due(self, wants: Mapping[str, int], levels: Mapping[str, int], lease: float, floors: Floors) -> list[Row]:
        left, found = dict(wants), []
        statement = messages_sql.lock_due(self.dialect)
        with self.database.transaction():
            for queue, priority in self._due_levels({queue: levels[queue] for queue in wants}):
                if left[queue]:
                    floor = floors.get((queue, priority), 0)
                    rows = self.database.fetch(statement, [queue, priority, floor, left[queue]])
                    left[queue] -= len(rows)
                    found += rows
            return self._take(found, lease)

    def head(self, queue: QueueSpec, limit: int, lease: float) -> list[Row]:
        wanted = wanting(queue.name, queue.max_priority, limit)
        head = self.database.fetch(messages_sql.head(self.dialect, queue.max_priority), wanted)
        return self._lock_and_take(messages_sql.lock_ready, [row[0] for row in head], [], lease)

    def chosen(self, queue: str, ids: Ids, lease: float) -> list[Row]:
        return self._lock_and_take(messages_sql.lock_chosen, ids, [queue], lease)

    def expired(self, limit: int, lease: float) -> list[Row]:
        with self.database.transaction():
            return self._take(self.database.fetch(messages_sql.lock_expired(self.dialect), [limit]), lease)

    def done(self, token: Token, ids: Ids) -> set[MessageId]:
        statement = messages_sql.done(self.dialect, len(ids))
        if self.dialect.deletes_return:
            return {row[0] for row in self.database.fetch(statement, [token, *self.dialect.ids(ids)])}
        with self.database.transaction():
            held = self._held(token, ids, self.dialect.for_update)
            self.database.run(statement, [token, *self.dialect.ids(ids)])
            return held

    def release(self, token: Token, ids: Ids, delay: float, counted: bool) -> set[MessageId]:
        with self.database.transaction():
            held = self._held(token, ids, self.dialect.for_update)
            statement = messages_sql.release(self.dialect, len(ids), bool(delay))
            self.database.run(statement, _release(token, self.dialect.ids(ids), delay, counted))
            return held

    def extend(self, token: Token, ids: Ids, seconds: float) -> set[MessageId]:
        with self.database.transaction():
            held = self._held(token, ids, self.dialect.skip_locked)
            if held:
                self.database.run(messages_sql.extend(self.dialect, len(held)), [micro(seconds), token, *held])
            return held

    def _due_levels(self, levels: Mapping[str, int]) -> list[tuple[str, int]]:
        """Where to look, highest priority first; asked for only where there is much to choose from."""
        each = [(queue, priority) for queue, highest in levels.items() for priority in range(highest, -1, -1)]
        if len(each) <= _FEW_LEVELS:
            return each
        parameters = [value for level in each for value in (*level, *level)]
        found = self.database.fetch(messages_sql.due_levels(self.dialect, tuple(levels.values())), parameters)
        due = {(queue, int(priority)) for queue, priority in found}
        return [level for level in each if level in due]

    def _lock_and_take(self, lock: Any, ids: Ids, parameters: Sequence[Any], lease: float) -> list[Row]:
        if not ids:
            return []
        with self.database.transaction():
            return self._take(self.database.fetch(lock(self.dialect, len(ids)), [*parameters, *ids]), lease)

    def _take(self, locked: list[Row], lease: float) -> list[Row]:
        """Claim what this transaction has locked."""
        if not locked:
            return []
        token = _new_token()
        parameters = [micro(lease), token, *(row[0] for row in locked)]
        self.database.run(messages_sql.take(self.dialect, len(locked)), parameters)
        return [(*row[:3], row[3] + 1, token, *row[5:]) for row in locked]

    def _held(self, token: Token, ids: Ids, lock: str) -> set[MessageId]:
        rows = self.database.fetch(messages_sql.held(self.dialect, len(ids)) + lock, [token, *self.dialect.ids(ids)])
        return {row[0] for row in rows}


_FEW_LEVELS = 2


def claims(database: Database) -> Claims:
    """The way of this database."""
    return (ReturningClaims if database.dialect.updates_return else LockingClaims)(database)


def _release(token: Token, ids: list[Any], delay: float, counted: bool) -> list[Any]:
    delays = [micro(delay)] * 2 if delay else []
    return [int(not counted), *delays, token, *ids]


def _new_token() -> int:
    return random.getrandbits(63)
