"""Django's database errors as the library's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from kombu.exceptions import ConnectionError, KombuError
from kombu.sql import errors


@contextmanager
def translated(alias: str, before: bool = False, began_with: object = None) -> Iterator[None]:
    """Raise every database error as one of :mod:`kombu.exceptions`, saying what to do.

    Outside a transaction a broken connection is closed, so that the next use opens a new one. ``before``: nothing was
    asked of the database yet, so that nothing of it can have been done. ``began_with``: the driver's connection at the
    beginning, unless that is now.
    """
    began_with = began_with or connections[alias].connection
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        raise _explained(alias, exc, _lost(connections[alias], began_with), before) from exc


def _lost(connection: BaseDatabaseWrapper, began_with: object) -> bool:
    """Where a transaction could not end, Django may have gone on to a new connection."""
    if connection.connection is None or began_with not in (None, connection.connection):
        return True
    if connection.in_atomic_block or not connection.autocommit or connection.is_usable():
        return False
    connection.close()
    return True


def _explained(alias: str, exc: Exception, lost: bool, before: bool) -> KombuError:
    explained = errors.explained(
        f"database {alias!r}",
        exc.__cause__ or exc,
        lost=lost,
        migrate=f"run manage.py migrate --database {alias} kombu_django",
    )
    if before and isinstance(explained, ConnectionError):
        explained.uncertain = False
    return explained
