"""Making the tables that are missing, by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Connection, inspect

from kombu.exceptions import OperationalError
from kombu.sql import Dialect
from kombu_sqlalchemy.schema import make_metadata

_LOCK = 5_275_011_948_211_043
"""Of PostgreSQL's advisory locks: a number that nobody else is likely to have."""

_PATIENCE = 60
"""Seconds that another process may take."""


_wanted = lru_cache(maxsize=8)(make_metadata)
"""The tables by prefix, which take longer to describe than a file of SQLite to open."""


def make_missing(connection: Connection, dialect: Dialect) -> None:
    """In the database of ``connection``, which is in autocommit. Columns are for the migrations to add."""
    metadata = _wanted(dialect.prefix)
    names = {table.name for table in metadata.tables.values()}
    if names.issubset(inspect(connection).get_table_names(schema=metadata.schema)):
        return
    with alone(connection, dialect):
        for table in metadata.tables.values():  # the last one has no index: once it is there, they all are
            table.create(connection, checkfirst=True)
            for index in table.indexes:
                index.create(connection, checkfirst=True)


@contextmanager
def alone(connection: Connection, dialect: Dialect) -> Iterator[None]:
    """No other process changes the tables meanwhile.

    All of it happens or nothing, except on MariaDB and MySQL, which commit each change of a table at once. Where
    ``connection`` is not in autocommit, its transaction is the caller's to commit, and there holds the others off until
    then; on those two it is committed here.
    """
    own = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    match dialect.name:
        case "SQLite":
            with _transaction(connection, "BEGIN IMMEDIATE", own):
                yield
        case "PostgreSQL":
            with _transaction(connection, "BEGIN", own):
                if own:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                yield
        case _:
            with _named_lock(connection, f"LEFT(CONCAT('kombu ', DATABASE(), ' {dialect.prefix}'), 64)"):
                yield


@contextmanager
def _transaction(connection: Connection, begin: str, own: bool) -> Iterator[None]:
    """The driver of an own connection is in autocommit: the words are said to the server."""
    if not own:
        if not getattr(connection.connection.driver_connection, "in_transaction", True):
            connection.exec_driver_sql(begin)  # SQLite's driver puts that off, past the tables
        yield
        return
    connection.exec_driver_sql(begin)
    try:
        yield
    except BaseException:
        if not connection.invalidated:
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


@contextmanager
def _named_lock(connection: Connection, name: str) -> Iterator[None]:
    if connection.exec_driver_sql(f"SELECT GET_LOCK({name}, {_PATIENCE})").scalar() != 1:
        raise OperationalError(f"another process has been making the tables for {_PATIENCE} seconds")
    try:
        connection.exec_driver_sql("COMMIT")  # a transaction that began before would not see what the others did
        yield
        connection.exec_driver_sql("COMMIT")
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK({name})")
