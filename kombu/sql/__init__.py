"""The store over an SQL database, written once for all doors to it.

A door (``kombu_django``, ``kombu_sqlalchemy``) brings a :class:`~kombu.sql.database.Database`: how statements are
sent, what a transaction is, and what its driver's errors mean. What is asked of the database stands here as text, by
subject: :mod:`messages_sql`, :mod:`queues_sql`, :mod:`topology_sql`, :mod:`outbox_sql`; what differs between databases
in :mod:`dialect`; and what is decided in the store, from :mod:`topology` up to :mod:`store`.
"""

from kombu.sql.database import Conflict, Database
from kombu.sql.dialect import MARIADB, MYSQL, POSTGRESQL, SQLITE, Dialect
from kombu.sql.store import SQLStore

__all__ = ["MARIADB", "MYSQL", "POSTGRESQL", "SQLITE", "Conflict", "Database", "Dialect", "SQLStore"]
