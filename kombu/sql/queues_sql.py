"""The SQL about queues as a whole: what they are, who uses them, how full they are and when they end."""

from __future__ import annotations

from functools import lru_cache

from kombu.sql.dialect import Dialect
from kombu.sql.messages_sql import places

COLUMNS = "id, name, durable, exclusive, auto_delete, arguments, expires_at"


@lru_cache
def known(d: Dialect, queues: int) -> str:
    """Parameters: queue names."""
    return f"SELECT {COLUMNS} FROM {d.table('queue')} WHERE name IN ({places(queues)}) ORDER BY id"


@lru_cache
def names(d: Dialect, queues: int) -> str:
    """Rows of id and name. Parameters: what :meth:`Dialect.ids` makes of ids."""
    return f"SELECT id, name FROM {d.table('queue')} WHERE {d.among(queues)}"


@lru_cache
def lock(d: Dialect, queues: int) -> str:
    """Their rows, until the transaction ends. Parameters: queue names."""
    return known(d, queues) + d.for_update


@lru_cache
def lock_refusing(d: Dialect, queues: int) -> str:
    """Of these queues those that refuse when they are full. Parameters: queue names."""
    names = places(queues)
    return f"SELECT {COLUMNS} FROM {d.table('queue')} WHERE refuses AND name IN ({names}) ORDER BY id{d.for_update}"


@lru_cache
def refusing(d: Dialect, queues: int) -> str:
    """Names. Parameters: queue names."""
    return f"SELECT name FROM {d.table('queue')} WHERE refuses AND name IN ({places(queues)})"


@lru_cache
def touch(d: Dialect, queues: int) -> str:
    """Changes nothing, but takes the lock of a database that has one. Parameters: queue names."""
    return f"UPDATE {d.table('queue')} SET expires_at = expires_at WHERE name IN ({places(queues)})"


@lru_cache
def insert(d: Dialect) -> str:
    """Parameters: name, durable, exclusive, auto_delete, arguments, refuses, seconds to live or NULL."""
    return (
        f"INSERT INTO {d.table('queue')}"
        " (name, durable, exclusive, auto_delete, arguments, refuses, paused, expires_at)"
        f" VALUES (%s, %s, %s, %s, %s, %s, FALSE, {d.now} + {d.integer})"
    )


@lru_cache
def delete(d: Dialect, queues: int) -> str:
    """Parameters: ids."""
    return f"DELETE FROM {d.table('queue')} WHERE id IN ({places(queues)})"


@lru_cache
def delete_messages(d: Dialect, queues: int) -> str:
    """Parameters: ids of queues."""
    return f"DELETE FROM {d.table('message')} WHERE queue_id IN ({places(queues)})"


@lru_cache
def delete_bindings(d: Dialect, queues: int) -> str:
    """Parameters: names of queues."""
    return f"DELETE FROM {d.table('binding')} WHERE NOT to_exchange AND destination IN ({places(queues)})"


@lru_cache
def pause(d: Dialect) -> str:
    """Parameters: whether it is paused, queue name."""
    return f"UPDATE {d.table('queue')} SET paused = %s WHERE name = %s"


@lru_cache
def paused(d: Dialect) -> str:
    """Names."""
    return f"SELECT name FROM {d.table('queue')} WHERE paused"


@lru_cache
def let_expire(d: Dialect) -> str:
    """Parameters: when, id."""
    return f"UPDATE {d.table('queue')} SET expires_at = %s WHERE id = %s"


@lru_cache
def any_ended(d: Dialect) -> str:
    """A row when the life of a queue is over."""
    return f"SELECT 1 FROM {d.table('queue')} WHERE expires_at <= {d.now} LIMIT 1"


@lru_cache
def lock_ended(d: Dialect) -> str:
    """Those whose life is over."""
    return f"SELECT {COLUMNS} FROM {d.table('queue')} WHERE expires_at <= {d.now} ORDER BY id{d.for_update}"


@lru_cache
def attending(d: Dialect, queues: int) -> str:
    """Rows of queue, who, consumer, in the order they came. Parameters: queue names."""
    return (
        f"SELECT q.name, u.who, u.consumer FROM {d.table('user')} u JOIN {d.table('queue')} q ON q.id = u.queue_id"
        f" WHERE q.name IN ({places(queues)}) AND u.until > {d.now} ORDER BY u.id"
    )


@lru_cache
def users(d: Dialect) -> str:
    """Rows of who, consumer. Parameters: id of a queue, now."""
    return f"SELECT who, consumer FROM {d.table('user')} WHERE queue_id = %s AND until > %s"


@lru_cache
def enter(d: Dialect) -> str:
    """Parameters: id of a queue, who, consumer, until."""
    conflict = d.on_conflict.format(columns="queue_id, who", change=f"until = {d.excluded.format('until')}")
    return f"INSERT INTO {d.table('user')} (queue_id, who, consumer, until) VALUES (%s, %s, %s, %s) {conflict}"


@lru_cache
def forget_absent(d: Dialect, queues: int) -> str:
    """Parameters: now, ids of queues."""
    return f"DELETE FROM {d.table('user')} WHERE until <= %s AND queue_id IN ({places(queues)})"


@lru_cache
def leave(d: Dialect, users: int) -> str:
    """Parameters: id of a queue, who."""
    return f"DELETE FROM {d.table('user')} WHERE queue_id = %s AND who IN ({places(users)})"


@lru_cache
def delete_users(d: Dialect, queues: int) -> str:
    """Parameters: ids of queues."""
    return f"DELETE FROM {d.table('user')} WHERE queue_id IN ({places(queues)})"


@lru_cache
def last_user(d: Dialect) -> str:
    """Until when the last of a queue's users is there. Parameters: id of a queue."""
    return f"SELECT MAX(until) FROM {d.table('user')} WHERE queue_id = %s"


@lru_cache
def ready(d: Dialect, weigh: bool) -> str:
    """How many messages may be claimed, and their bytes, which are 0 unless ``weigh``. Parameters: queue name."""
    size = "COALESCE(SUM(LENGTH(body)), 0)" if weigh else "0"
    return f"SELECT COUNT(*), {size} {_ready(d)}"


@lru_cache
def at_head(d: Dialect) -> str:
    """How many messages have to go from the head so that those bytes go. Parameters: queue name, bytes."""
    above = "SUM(LENGTH(body)) OVER (ORDER BY priority DESC, available_at, id ROWS UNBOUNDED PRECEDING) - LENGTH(body)"
    return f"SELECT COUNT(*) FROM (SELECT {above} AS above {_ready(d)}) AS line WHERE above < %s"


@lru_cache
def look(d: Dialect) -> str:
    """No row; an error where the tables are not there, or not as this release knows them."""
    columns = "refuses, expires_at, paused"
    return f"SELECT {columns} FROM {d.table('queue')} WHERE 1 = 0"


@lru_cache
def now(d: Dialect) -> str:
    """The database's clock."""
    return f"SELECT {d.now}"


def _ready(d: Dialect) -> str:
    name = f"(SELECT id FROM {d.table('queue')} WHERE name = %s)"
    return f"FROM {d.table('message')} WHERE queue_id = {name} AND available_at <= {d.now}"
