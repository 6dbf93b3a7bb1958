"""Statements by a driver's cursor, as the DB-API has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from functools import lru_cache
from typing import Any

from kombu.sql.database import Row


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


class Usual(Statements):
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


class QuestionMarks(Usual):
    """With ``?`` for parameters."""

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        return super().fetch(_question_marks(statement), parameters)

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        return super().run(_question_marks(statement), parameters)


@lru_cache
def _question_marks(statement: str) -> str:
    return statement.replace("%s", "?")
