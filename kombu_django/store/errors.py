"""Django's database errors as the library's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, connections
from django.db.utils import OperationalError as DjangoOperationalError
from django.db.utils import ProgrammingError

from kombu.exceptions import OperationalError


@contextmanager
def translated(alias: str) -> Iterator[None]:
    """Raise every database error as :class:`~kombu.exceptions.OperationalError`, saying what to do.

    Outside a transaction a broken connection is closed, so that the next use opens a new one.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        connection = connections[alias]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        raise OperationalError(_explained(alias, exc)) from exc


def _explained(alias: str, exc: Exception) -> str:
    text = str(exc).strip()
    if isinstance(exc, DjangoOperationalError | ProgrammingError) and _names_a_missing_table(text):
        return f"database {alias!r} has no kombu tables: run manage.py migrate --database {alias} kombu_django"
    if "locked" in text:
        return f"database {alias!r}: {text}; other writers held it for longer than the option 'timeout' allows"
    return f"database {alias!r}: {text}"


def _names_a_missing_table(text: str) -> bool:
    return "kombu_" in text and ("no such table" in text or "does not exist" in text or "doesn't exist" in text)
