"""The SQL about what is declared: exchanges, bindings and the version that changes with them."""

from __future__ import annotations

from functools import lru_cache

from kombu.sql.dialect import Dialect

EXCHANGE = "name, type, durable, auto_delete, arguments"
BINDING = "source, destination, routing_key, arguments, to_exchange"
QUEUE = "name, durable, exclusive, auto_delete, arguments"


@lru_cache
def exchanges(d: Dialect) -> str:
    """All that were declared, and the default one with the version: rows of id, version, and what was declared."""
    return f"SELECT id, version, {EXCHANGE} FROM {d.table('exchange')}"


@lru_cache
def queues(d: Dialect) -> str:
    """Rows of number, whether it refuses what does not fit, and what was declared."""
    return f"SELECT id, refuses, {QUEUE} FROM {d.table('queue')}"


@lru_cache
def bindings(d: Dialect) -> str:
    """All, in the order they were made."""
    return f"SELECT {BINDING} FROM {d.table('binding')} ORDER BY id"


@lru_cache
def has_exchange(d: Dialect) -> str:
    """A row. Parameters: name."""
    return f"SELECT 1 FROM {d.table('exchange')} WHERE name = %s"


@lru_cache
def has_queue(d: Dialect) -> str:
    """A row. Parameters: name."""
    return f"SELECT 1 FROM {d.table('queue')} WHERE name = %s"


@lru_cache
def has_binding(d: Dialect) -> str:
    """A row. Parameters: digest."""
    return f"SELECT 1 FROM {d.table('binding')} WHERE digest = %s"


@lru_cache
def has_bindings_from(d: Dialect) -> str:
    """A row. Parameters: name of an exchange."""
    return f"SELECT 1 FROM {d.table('binding')} WHERE source = %s LIMIT 1"


@lru_cache
def insert_exchange(d: Dialect) -> str:
    """Parameters: name, type, durable, auto_delete, arguments."""
    return f"INSERT INTO {d.table('exchange')} ({EXCHANGE}, version) VALUES (%s, %s, %s, %s, %s, 0)"


@lru_cache
def insert_binding(d: Dialect) -> str:
    """Parameters: source, destination, routing key, arguments, to_exchange, digest."""
    return f"INSERT INTO {d.table('binding')} ({BINDING}, digest) VALUES (%s, %s, %s, %s, %s, %s)"


@lru_cache
def delete_exchange(d: Dialect) -> str:
    """Parameters: name."""
    return f"DELETE FROM {d.table('exchange')} WHERE name = %s"


@lru_cache
def delete_bindings_of(d: Dialect) -> str:
    """From an exchange and to it. Parameters: its name twice."""
    return f"DELETE FROM {d.table('binding')} WHERE source = %s OR (to_exchange AND destination = %s)"


@lru_cache
def delete_binding(d: Dialect) -> str:
    """Parameters: digest."""
    return f"DELETE FROM {d.table('binding')} WHERE digest = %s"


@lru_cache
def change_version(d: Dialect) -> str:
    """Parameters: version."""
    return f"UPDATE {d.table('exchange')} SET version = %s WHERE name = ''"


@lru_cache
def first_version(d: Dialect) -> str:
    """Parameters: durable, auto_delete, version."""
    conflict = d.on_conflict.format(columns="name", change=f"version = {d.excluded.format('version')}")
    return (
        f"INSERT INTO {d.table('exchange')} ({EXCHANGE}, version) VALUES ('', 'direct', %s, %s, '{{}}', %s) {conflict}"
    )
