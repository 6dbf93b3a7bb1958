"""Statements through a driver's own connection, without the steps that SQLAlchemy or Django add to each.

They take as long as all the rest of storing one message. Nobody who watches misses anything: where the application
listens to its statements, a door sends them the usual way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from kombu.sql.database import Conflict, Row

_USES = 3
"""Of a statement before it is prepared: a rare one is not worth it."""


class Statements(ABC):
    """Of one connection, which one thread at a time uses. The driver's errors are raised as they are."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    @abstractmethod
    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        """The rows of a statement."""

    @abstractmethod
    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        """How many rows a statement stored, changed or removed."""


def statements(driver: Any, question_marks: bool, prepare: bool) -> Statements:
    """``question_marks``: the driver has those for parameters, and no ``%s``. ``prepare``: PostgreSQL may keep what is
    said often; not so behind a connection pooler, where the next statement may be for another session."""
    if hasattr(driver, "pgconn"):
        return _OfPsycopg(driver, prepare)
    return _WithQuestionMarks(driver) if question_marks else _OfAny(driver)


class _OfAny(Statements):
    """The cursor that stores is used again; one that has read would keep what it read."""

    def __init__(self, driver: Any) -> None:
        super().__init__(driver)
        self._cursor = driver.cursor()

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        with closing(self.driver.cursor()) as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        self._cursor.execute(statement, parameters)
        return int(self._cursor.rowcount)


class _WithQuestionMarks(_OfAny):
    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        return super().fetch(_question_marks(statement), parameters)

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        return super().run(_question_marks(statement), parameters)


class _OfPsycopg(Statements):
    """What stores is prepared. Not so what reads messages: of a prepared statement PostgreSQL keeps the plan, and one
    for an empty table reads all of a full one."""

    def __init__(self, driver: Any, prepare: bool) -> None:
        super().__init__(driver)
        from psycopg import Cursor
        from psycopg.errors import InvalidSqlStatementName

        self._lost: type[Exception] = InvalidSqlStatementName
        self._make = Cursor
        self._cursor: Cursor[Any] = Cursor(driver)
        self._uses = _USES if prepare else None

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        with self._make(self.driver) as cursor:
            cursor.execute(statement, parameters, prepare=False)
            return cursor.fetchall()

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        """The application's own statements are prepared as it says: the setting is the connection's."""
        driver = self.driver
        theirs = driver.prepare_threshold
        driver.prepare_threshold = self._uses
        try:
            self._cursor.execute(statement, parameters)
        except self._lost as exc:
            self._uses = None
            raise Conflict(f"{exc}: somebody has said DISCARD ALL, and what was prepared is gone; try again") from exc
        finally:
            driver.prepare_threshold = theirs
        return self._cursor.rowcount


@lru_cache
def _question_marks(statement: str) -> str:
    return statement.replace("%s", "?")
