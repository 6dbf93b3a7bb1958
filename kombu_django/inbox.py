"""The inbox: which messages were handled, so that a redelivery is harmless."""

from __future__ import annotations

from kombu.sql import outbox_sql
from kombu_django.store.database import DjangoDatabase


def first_time(database: str, queue: str, message_id: str) -> bool:
    """Note the message in the open transaction of ``database``; False when it was noted before."""
    mine = DjangoDatabase(database)
    with mine.session():
        return mine.run(outbox_sql.inbox_add(mine.dialect), [message_id, queue, message_id, queue]) == 1


def prune(database: str, older_than: float) -> int:
    """Forget what was handled more than ``older_than`` seconds ago; answers how many rows that was."""
    mine = DjangoDatabase(database)
    with mine.session():
        return mine.run(outbox_sql.inbox_prune(mine.dialect), [round(older_than * 1e6)])
