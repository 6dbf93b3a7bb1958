"""The SQL about queues as a whole: their ends, who uses them and how full they are."""

from __future__ import annotations

from functools import lru_cache

from kombu_django.store.sql import Dialect, places

_READY = "FROM kombu_message WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s) AND available_at <= {now}"


@lru_cache
def any_ended(d: Dialect) -> str:
    """A row when the life of a queue is over."""
    return f"SELECT 1 FROM kombu_queue WHERE expires_at <= {d.now} LIMIT 1"


@lru_cache
def attending(d: Dialect, queues: int) -> str:
    """Rows of queue, who, consumer, in the order they came. Parameters: queue names."""
    return (
        "SELECT q.name, u.who, u.consumer FROM kombu_user u JOIN kombu_queue q ON q.id = u.queue_id"
        f" WHERE q.name IN ({places(queues)}) AND u.until > {d.now} ORDER BY u.id"
    )


@lru_cache
def ready(d: Dialect, weigh: bool) -> str:
    """How many messages may be claimed, and their bytes, which are 0 unless ``weigh``. Parameters: queue name."""
    size = "COALESCE(SUM(LENGTH(body)), 0)" if weigh else "0"
    return f"SELECT COUNT(*), {size} {_READY.format(now=d.now)}"


@lru_cache
def at_head(d: Dialect) -> str:
    """How many messages have to go from the head so that those bytes go. Parameters: queue name, bytes."""
    above = "SUM(LENGTH(body)) OVER (ORDER BY priority DESC, available_at, id ROWS UNBOUNDED PRECEDING) - LENGTH(body)"
    return f"SELECT COUNT(*) FROM (SELECT {above} AS above {_READY.format(now=d.now)}) AS line WHERE above < %s"
