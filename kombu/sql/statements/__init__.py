"""Statements through a driver's own connection, without the steps that SQLAlchemy or Django add to each.

They take as long as all the rest of storing one message. Nobody who watches misses anything: where the application
listens to its statements, a door sends them the usual way.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from kombu.sql.dialect import MARIADB, POSTGRESQL, Dialect
from kombu.sql.statements.plain import QuestionMarks, Statements, Usual

__all__ = ["Statements", "planned_in_order", "statements"]


def statements(driver: Any, dialect: Dialect, question_marks: bool, prepare: bool, shared: bool = False) -> Statements:
    """``question_marks``: the driver has those for parameters, and no ``%s``. ``prepare``: the server may keep what is
    said often; not so behind a connection pooler, where the next statement may be for another session. ``shared``: the
    application says statements at the same connection."""
    if dialect.name == POSTGRESQL.name and hasattr(driver, "pgconn"):
        from kombu.sql.statements.psycopg import OfPsycopg

        return OfPsycopg(driver, prepare, shared)
    if dialect.name == MARIADB.name and prepare:
        from kombu.sql.statements.mariadb import OfMariaDB

        return OfMariaDB(driver)
    return QuestionMarks(driver) if question_marks else Usual(driver)


def planned_in_order(driver: Any, statement: str) -> AbstractContextManager[None]:
    """For statements that a connection of psycopg is sent the usual way."""
    from kombu.sql.statements import psycopg

    return psycopg.planned_in_order(driver, statement)
