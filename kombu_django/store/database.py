"""What every part of the store does with its database: statements, rows, transactions and visiting threads."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from kombu_django.store import sql


class Database:
    """The database ``alias``. Each thread has a connection of its own, as always in Django."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def _fetch(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def _lease(self, statement: str, lease: float, parameters: Sequence[Any]) -> list[Any]:
        """The rows that a statement claims, under a new token."""
        return self._fetch(statement, [micro(lease), random.getrandbits(63), *parameters])

    def _rows(self, model: type[Any]) -> Any:
        return model._default_manager.using(self.alias)

    def _now(self) -> int:
        """Microseconds since 1970 by the database's clock."""
        return int(self._fetch(sql.now(self._dialect()), [])[0][0])

    def _dialect(self) -> sql.Dialect:
        return sql.dialect(connections[self.alias].vendor)

    def _writers_wait(self) -> bool:
        """SQLite has one writer at a time: look before taking the lock for nothing."""
        return connections[self.alias].vendor == "sqlite"

    @contextmanager
    def _together(self, wanted: bool = True) -> Iterator[None]:
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


def micro(seconds: float) -> int:
    """Whole microseconds, in which the database counts."""
    return round(seconds * 1e6)
