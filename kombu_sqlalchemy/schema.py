"""The tables of the shared schema as SQLAlchemy Core knows them; ``kombu_django`` makes the same ones.

What they mean stands in ``kombu_django.models``. All times are whole microseconds since 1970 by the database's clock.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

NAME = 255

metadata = MetaData()


def _id() -> Column[int]:
    """A number that is never used again, also on SQLite."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _table(name: str, *parts: Column[object] | Index | UniqueConstraint) -> Table:
    return Table(name, metadata, _id(), *parts, sqlite_autoincrement=True)


exchange = _table(
    "kombu_exchange",
    Column("name", String(NAME), nullable=False, unique=True),
    Column("type", String(32), nullable=False),
    Column("durable", Boolean, nullable=False),
    Column("auto_delete", Boolean, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
)

queue = _table(
    "kombu_queue",
    Column("name", String(NAME), nullable=False, unique=True),
    Column("durable", Boolean, nullable=False),
    Column("exclusive", Boolean, nullable=False),
    Column("auto_delete", Boolean, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("refuses", Boolean, nullable=False),
    Column("expires_at", BigInteger),
)

user = _table(
    "kombu_user",
    Column("queue_id", BigInteger, nullable=False),
    Column("who", String(2 * NAME), nullable=False),
    Column("consumer", Boolean, nullable=False),
    Column("until", BigInteger, nullable=False),
    UniqueConstraint("queue_id", "who", name="kombu_user_once"),
)

binding = _table(
    "kombu_binding",
    Column("digest", String(64), nullable=False, unique=True),
    Column("source", String(NAME), nullable=False),
    Column("destination", String(NAME), nullable=False),
    Column("to_exchange", Boolean, nullable=False),
    Column("routing_key", String(NAME), nullable=False),
    Column("arguments", Text, nullable=False),
)

message = _table(
    "kombu_message",
    Column("queue_id", BigInteger, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("available_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("delivery_count", Integer, nullable=False),
    Column("lease_token", BigInteger),
    Column("head", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("kombu_message_claim", "queue_id", "priority", "available_at", "id"),
    Index("kombu_message_expiry", "expires_at"),
)

outbox = _table(
    "kombu_outbox",
    Column("connection", String(NAME), nullable=False),
    Column("exchange", String(NAME), nullable=False),
    Column("routing_key", String(NAME), nullable=False),
    Column("key", String(NAME), nullable=False),
    Column("mandatory", Boolean, nullable=False),
    Column("properties", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("available_at", BigInteger, nullable=False),
    Column("lease_token", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("failed_at", BigInteger),
    Column("error", Text, nullable=False),
    Index("kombu_outbox_claim", "connection", "failed_at", "id"),
)

inbox = _table(
    "kombu_inbox",
    Column("message_id", String(NAME), nullable=False),
    Column("queue", String(NAME), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("message_id", "queue", name="kombu_inbox_once"),
    Index("kombu_inbox_received", "received_at"),
)

worker = _table(
    "kombu_worker",
    Column("hostname", String(NAME), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("connection", String(NAME), nullable=False),
    Column("queues", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)
