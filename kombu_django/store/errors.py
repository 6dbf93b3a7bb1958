"""Django's database errors as the library's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections

from kombu.exceptions import ConnectionError, KombuError
from kombu.sql import errors


@contextmanager
def translated(alias: str, before: bool = False) -> Iterator[None]:
    """Raise every database error as one of :mod:`kombu.exceptions`, saying what to do.

    Outside a transaction a broken connection is closed, so that the next use opens a new one. ``before``: nothing was
    asked of the database yet, so that nothing of it can have been done.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        connection = connections[alias]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        raise _explained(alias, exc, before) from exc


def _explained(alias: str, exc: Exception, before: bool) -> KombuError:
    explained = errors.explained(
        f"database {alias!r}",
        exc.__cause__ or exc,
        lost=connections[alias].connection is None,
        migrate=f"run manage.py migrate --database {alias} kombu_django",
    )
    if before and isinstance(explained, ConnectionError):
        explained.uncertain = False
    return explained
