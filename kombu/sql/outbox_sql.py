"""The SQL of outbox and inbox.

What looks for ids says the connection too, and that they have not failed: the outbox's index of claims is then as good
as that of the ids, and PostgreSQL, which may take it, reads no more than those rows."""

from __future__ import annotations

from functools import lru_cache

from kombu.sql.dialect import Dialect
from kombu.sql.messages_sql import places

_WAITING = "connection = %s AND failed_at IS NULL"


@lru_cache
def write(d: Dialect) -> str:
    """Parameters: connection, exchange, routing key, key, mandatory, properties, body, delay."""
    return (
        f"INSERT INTO {d.table('outbox')} (connection, exchange, routing_key, {d.quoted('key')}, mandatory, properties,"
        " body, stored_at, due_at, available_at, attempts, error)"
        f" VALUES (%s, %s, %s, %s, %s, %s, %s, {d.now}, {d.now} + %s, {d.now}, 0, '')"
    )


@lru_cache
def claim(d: Dialect) -> str:
    """Parameters: connection, limit, lease, token, connection. Nothing while one of the oldest is not available."""
    return (
        f"WITH oldest AS ({_oldest(d)})"
        f" {_take(d)} WHERE {_WAITING} AND id IN (SELECT id FROM oldest) AND available_at <= {d.now}"
        f" AND (SELECT MAX(available_at) FROM oldest) <= {d.now}"
        f" RETURNING {_columns(d)}"
    )


@lru_cache
def oldest(d: Dialect) -> str:
    """Lock and read the oldest rows, whether they are available, last. Parameters: connection, limit."""
    first = f"{d.table('outbox')} WHERE {_WAITING} ORDER BY id LIMIT %s"
    return f"SELECT {_columns(d)}, available_at <= {d.now} FROM {first}{d.for_update}"


@lru_cache
def take(d: Dialect, rows: int) -> str:
    """Claim locked rows. Parameters: lease, token, connection, the ids."""
    return f"{_take(d)} WHERE {_WAITING} AND id IN ({places(rows)})"


@lru_cache
def done(d: Dialect, rows: int) -> str:
    """Parameters: connection, token, the ids."""
    return f"DELETE FROM {d.table('outbox')} WHERE {_held(rows)}"


@lru_cache
def postpone(d: Dialect, rows: int) -> str:
    """Parameters: delay, error, connection, token, the ids."""
    return (
        f"UPDATE {d.table('outbox')} SET available_at = {d.now} + %s, error = %s, lease_token = NULL"
        f" WHERE {_held(rows)}"
    )


@lru_cache
def fail(d: Dialect) -> str:
    """Parameters: error, connection, token, id."""
    return f"UPDATE {d.table('outbox')} SET failed_at = {d.now}, error = %s, lease_token = NULL WHERE {_held(1)}"


@lru_cache
def due(d: Dialect) -> str:
    """Microseconds until the oldest row may be taken. Parameters: connection."""
    return f"SELECT available_at - {d.now} FROM {d.table('outbox')} WHERE {_WAITING} ORDER BY id LIMIT 1"


@lru_cache
def inbox_add(d: Dialect) -> str:
    """Stores one row, or none when the message was handled before. Parameters: message id, queue, and both again."""
    table = d.table("inbox")
    return (
        f"INSERT INTO {table} (message_id, queue, received_at) SELECT %s, %s, {d.now}{_from_nowhere(d)}"
        f" WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE message_id = %s AND queue = %s)"
        f" {d.ignore_conflict.format(columns='message_id, queue')}"
    )


@lru_cache
def inbox_prune(d: Dialect) -> str:
    """Parameters: age."""
    return f"DELETE FROM {d.table('inbox')} WHERE received_at < {d.now} - %s"


def _oldest(d: Dialect) -> str:
    return f"SELECT id, available_at FROM {d.table('outbox')} WHERE {_WAITING} ORDER BY id LIMIT %s"


def _held(rows: int) -> str:
    return f"{_WAITING} AND lease_token = %s AND id IN ({places(rows)})"


def _take(d: Dialect) -> str:
    return f"UPDATE {d.table('outbox')} SET available_at = {d.now} + %s, lease_token = %s, attempts = attempts + 1"


def _columns(d: Dialect) -> str:
    return f"id, exchange, routing_key, mandatory, properties, body, due_at - {d.now}, attempts"


def _from_nowhere(d: Dialect) -> str:
    return " FROM DUAL" if not d.updates_return else ""
