"""Exchanges, queues, bindings and messages; outbox, inbox and workers."""

from __future__ import annotations

from sqlalchemy import Column, Index, SmallInteger, UniqueConstraint

from kombu_sqlalchemy.migrations.adopting import Growing, Shrinking, downgrading, upgrading
from kombu_sqlalchemy.migrations.columns import binary, boolean, integer, key, name, number, text

revision = "kombu_0001"
down_revision = None
branch_labels = ("kombu",)


@upgrading
def upgrade(tables: Growing) -> None:
    _topology(tables)
    _messages(tables)
    _outbox(tables)
    _inbox(tables)
    tables.create(
        "worker",
        key(),
        name("hostname"),
        integer("pid"),
        name("connection"),
        text("queues"),
        number("started_at"),
        number("seen_at"),
    )


@downgrading
def downgrade(tables: Shrinking) -> None:
    for each in ("worker", "inbox", "outbox", "message", "binding", "queue", "exchange"):
        tables.drop(each)


def _topology(tables: Growing) -> None:
    tables.create(
        "exchange",
        key(),
        name("name", unique=True),
        name("type", 32),
        boolean("durable"),
        boolean("auto_delete"),
        text("arguments"),
        number("version"),
    )
    tables.create(
        "queue",
        key(),
        name("name", unique=True),
        boolean("durable"),
        boolean("exclusive"),
        boolean("auto_delete"),
        text("arguments"),
    )
    tables.create(
        "binding",
        key(),
        name("digest", 64, unique=True),
        name("source"),
        name("destination"),
        boolean("to_exchange"),
        name("routing_key"),
        text("arguments"),
    )


def _messages(tables: Growing) -> None:
    tables.create(
        "message",
        key(),
        number("queue_id"),
        Column("priority", SmallInteger, nullable=False),
        number("available_at"),
        number("due_at"),
        number("stored_at"),
        number("expires_at", nullable=True),
        integer("delivery_count"),
        number("lease_token", nullable=True),
        text("head"),
        binary("body"),
        Index("message_claim", "queue_id", "priority", "available_at", "id"),
        Index("message_expiry", "expires_at"),
    )


def _outbox(tables: Growing) -> None:
    tables.create(
        "outbox",
        key(),
        name("connection"),
        name("exchange"),
        name("routing_key"),
        name("key"),
        boolean("mandatory"),
        text("properties"),
        binary("body"),
        number("stored_at"),
        number("due_at"),
        number("available_at"),
        number("lease_token", nullable=True),
        integer("attempts"),
        number("failed_at", nullable=True),
        text("error"),
        Index("outbox_claim", "connection", "failed_at", "id"),
    )


def _inbox(tables: Growing) -> None:
    tables.create(
        "inbox",
        key(),
        name("message_id"),
        name("queue"),
        number("received_at"),
        UniqueConstraint("message_id", "queue", name="inbox_once"),
        Index("inbox_received", "received_at"),
    )
