"""Making the tables that are missing, by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect

from kombu.exceptions import OperationalError
from kombu.sql import Dialect
from kombu_sqlalchemy.schema import make_metadata

_LOCK = 5_275_011_948_211_043
"""Of PostgreSQL's advisory locks: a number that nobody else is likely to have."""

_PATIENCE = 60
"""Seconds that another process may take."""


def make_missing(connection: Connection, dialect: Dialect) -> None:
    """In the database of ``connection``, which is in autocommit."""
    schema, _, prefix = dialect.prefix.rpartition(".")
    if inspect(connection).has_table(f"{prefix}message", schema=schema or None):
        return
    with alone(connection, dialect):
        make_metadata(dialect.prefix).create_all(connection)


@contextmanager
def alone(connection: Connection, dialect: Dialect) -> Iterator[None]:
    """No other process changes the tables meanwhile."""
    match dialect.name:
        case "SQLite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            ending = "COMMIT"
        case "PostgreSQL":
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            ending = f"SELECT pg_advisory_unlock({_LOCK})"
        case _:
            name = f"CONCAT('kombu ', DATABASE(), ' {dialect.prefix}')"
            if connection.exec_driver_sql(f"SELECT GET_LOCK(LEFT({name}, 64), {_PATIENCE})").scalar() != 1:
                raise OperationalError(f"another process has been making the tables for {_PATIENCE} seconds")
            ending = f"SELECT RELEASE_LOCK(LEFT({name}, 64))"
    try:
        yield
    finally:
        connection.exec_driver_sql(ending)
