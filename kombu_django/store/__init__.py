"""The ORM store: queues in a Django database, as good as a broker."""

from __future__ import annotations

from django.db import connections

from kombu.exceptions import NotSupported, OperationalError
from kombu.sql import SQLStore
from kombu.sql.patience import ANSWER_TIMEOUT
from kombu_django.store.database import DjangoDatabase

__all__ = ["DjangoStore"]


class DjangoStore(SQLStore):
    """Queues in the database ``alias``.

    Whatever is called inside ``transaction.atomic(using=alias)`` is part of that transaction: a ``put`` becomes
    visible, and a ``settle`` final, when it commits. Each thread has a connection of its own, as always in Django.
    ``connect_timeout`` and ``answer_timeout`` are seconds that the server may take to let somebody in, where the
    settings of the database do not say, and for an operation.
    """

    def __init__(self, alias: str, connect_timeout: float = 5.0, answer_timeout: float = ANSWER_TIMEOUT) -> None:
        database = DjangoDatabase(alias, connect_timeout)
        database.answer_timeout = answer_timeout
        super().__init__("django", database)
        self.alias = alias

    def within(self, connection: object) -> DjangoStore:
        """``connection``: the database's alias or its Django connection, in whose transaction the caller is: an
        ``atomic`` block, or one that it commits itself."""
        mine = connections[self.alias]
        if connection not in (self.alias, mine):
            raise NotSupported(f"within={connection!r}: this queue is in the database {self.alias!r}")
        if not self.in_transaction:
            raise OperationalError(f"within={connection!r}: no transaction is open on database {self.alias!r}")
        return self
