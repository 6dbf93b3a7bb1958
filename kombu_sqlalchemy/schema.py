"""The tables of the shared schema as SQLAlchemy Core knows them; ``kombu_django`` makes the same ones.

What they mean stands in ``kombu_django.models``. All times are whole microseconds since 1970 by the database's clock.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT
from sqlalchemy.ext.compiler import compiles

from kombu.sql.dialect import POSTGRESQL, PREFIX

NAME = 255
_MARIADB = ("mysql", "mariadb")


def make_metadata(prefix: str = PREFIX) -> MetaData:
    """The tables, named with ``prefix``, which may begin with a schema and a dot."""
    schema, _, prefix = prefix.rpartition(".")
    metadata = MetaData(schema=schema or None)

    def table(name: str, *parts: Column[Any] | Index | UniqueConstraint) -> Table:
        return Table(prefix + name, metadata, _id(), *parts, sqlite_autoincrement=True)

    table(
        "exchange",
        _name("name", unique=True),
        _name("type", 32),
        _boolean("durable"),
        _boolean("auto_delete"),
        _text("arguments"),
        _number("version"),
    )
    table(
        "queue",
        _name("name", unique=True),
        _boolean("durable"),
        _boolean("exclusive"),
        _boolean("auto_delete"),
        _text("arguments"),
        _boolean("refuses"),
        _boolean("paused"),
        _number("expires_at", nullable=True),
    )
    table(
        "user",
        _number("queue_id"),
        _name("who", 2 * NAME),
        _boolean("consumer"),
        _number("until"),
        UniqueConstraint("queue_id", "who", name=f"{prefix}user_once"),
    )
    table(
        "binding",
        _name("digest", 64, unique=True),
        _name("source"),
        _name("destination"),
        _boolean("to_exchange"),
        _name("routing_key"),
        _text("arguments"),
    )
    table(
        "message",
        _number("queue_id"),
        Column("priority", SmallInteger, nullable=False),
        _number("available_at"),
        _number("due_at"),
        _number("stored_at"),
        _number("expires_at", nullable=True),
        Column("delivery_count", Integer, nullable=False),
        _number("lease_token", nullable=True),
        _text("head"),
        _bytes("body"),
        Index(f"{prefix}message_turn", "queue_id", "priority", "available_at", Tie()),
        Index(f"{prefix}message_expiring", "expires_at", **partial("expires_at IS NOT NULL")),
    )
    table(
        "outbox",
        _name("connection"),
        _name("exchange"),
        _name("routing_key"),
        _name("key"),
        _boolean("mandatory"),
        _text("properties"),
        _bytes("body"),
        _number("stored_at"),
        _number("due_at"),
        _number("available_at"),
        _number("lease_token", nullable=True),
        Column("attempts", Integer, nullable=False),
        _number("failed_at", nullable=True),
        _text("error"),
        Index(f"{prefix}outbox_claim", "connection", "failed_at", "id"),
    )
    table(
        "inbox",
        _name("message_id"),
        _name("queue"),
        _number("received_at"),
        UniqueConstraint("message_id", "queue", name=f"{prefix}inbox_once"),
        Index(f"{prefix}inbox_received", "received_at"),
    )
    table(
        "worker",
        _name("hostname"),
        Column("pid", Integer, nullable=False),
        _name("connection"),
        _text("queues"),
        _number("started_at"),
        _number("seen_at"),
    )
    return metadata


def _id() -> Column[int]:
    """A number that is never used again, also on SQLite."""
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True, autoincrement=True)


class Name(String):
    """Compared exactly: text that differs in case, accents and spaces at its end is different."""


@compiles(Name, *_MARIADB)
def _compare_exactly(type_: Name, compiler: Any, **_: Any) -> str:
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


def partial(where: str) -> dict[str, Any]:
    """Arguments of an index of some rows, on databases that have such; elsewhere it is of all."""
    return {f"{name}_where": text(where) for name in ("postgresql", "sqlite")}


class Tie(ColumnElement[int]):
    """The last part of the index by which messages are claimed: see :class:`kombu.sql.Dialect`."""

    inherit_cache = True


@compiles(Tie)
def _tie(type_: Tie, compiler: Any, **_: Any) -> str:
    return POSTGRESQL.tie if compiler.dialect.name == "postgresql" else "id"


def _name(name: str, length: int = NAME, unique: bool = False) -> Column[str]:
    return Column(name, Name(length), nullable=False, unique=unique or None)


def _number(name: str, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _boolean(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text().with_variant(LONGTEXT(), *_MARIADB), nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary().with_variant(LONGBLOB(), *_MARIADB), nullable=False)


metadata = make_metadata()
