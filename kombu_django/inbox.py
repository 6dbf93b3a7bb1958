"""The inbox: which messages were handled, so that a redelivery is harmless."""

from __future__ import annotations

from django.db import connections

from kombu_django.store import sql
from kombu_django.store.errors import translated


def first_time(database: str, queue: str, message_id: str) -> bool:
    """Note the message in the open transaction of ``database``; False when it was noted before."""
    connection = connections[database]
    with translated(database), connection.cursor() as cursor:
        cursor.execute(sql.inbox_add(sql.dialect(connection.vendor)), [message_id, queue])
        return bool(cursor.rowcount == 1)


def prune(database: str, older_than: float) -> int:
    """Forget what was handled more than ``older_than`` seconds ago; answers how many rows that was."""
    connection = connections[database]
    with translated(database), connection.cursor() as cursor:
        cursor.execute(sql.inbox_prune(sql.dialect(connection.vendor)), [round(older_than * 1e6)])
        return int(cursor.rowcount)
