"""The SQL that the ORM cannot say, and what differs between databases.

What is about queues as a whole is in :mod:`kombu_django.store.queue_sql`; all the rest is here. Only names of
columns, placeholders and the clock are put together; every value is a parameter. Each text is made once.

Claiming with ``UPDATE … RETURNING`` takes one statement where the ORM takes a transaction with a SELECT and an
UPDATE; putting with one ``INSERT … SELECT`` stores a batch and checks the topology's version in one round trip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from kombu.exceptions import NotSupported

ROWS_A_STATEMENT = 100

_COLUMNS = (
    "id, (SELECT name FROM kombu_queue WHERE kombu_queue.id = kombu_message.queue_id), priority, delivery_count,"
    " lease_token, expires_at IS NOT NULL AND expires_at <= {now}, {now} - stored_at, due_at, head, body"
)
_VERSION = "COALESCE((SELECT version FROM kombu_exchange WHERE name = ''), 0)"


@dataclass(frozen=True, slots=True)
class Dialect:
    """``now`` is the database's clock in microseconds, ``lock`` skips rows that others are claiming.

    ``chosen`` takes the ids that a subquery chooses. PostgreSQL may run the subquery of an IN once for each row, and
    then one with a lock and a limit finds others each time; an array is made once.
    """

    now: str
    lock: str = ""
    chosen: str = "id IN ({})"
    integer: str = "%s"
    binary: str = "%s"
    text: str = "%s"


DIALECTS = {
    "sqlite": Dialect(now="CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"),
    "postgresql": Dialect(
        now="CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000 AS bigint)",
        lock=" FOR UPDATE SKIP LOCKED",
        chosen="id = ANY(ARRAY({}))",
        integer="%s::bigint",
        binary="%s::bytea",
        text="%s::text",
    ),
}


def dialect(vendor: str) -> Dialect:
    """Raises :class:`NotSupported` for a database that this release has no claim for."""
    if vendor not in DIALECTS:
        raise NotSupported(f"django:// needs {' or '.join(DIALECTS)}, not {vendor}")
    return DIALECTS[vendor]


@lru_cache
def now(d: Dialect) -> str:
    """The database's clock."""
    return f"SELECT {d.now}"


def version() -> str:
    """The version of the topology; 0 before anything was declared."""
    return f"SELECT {_VERSION}"


@lru_cache
def put(d: Dialect, rows: int, queues: int, room: bool) -> str:
    """Parameters: for each row place, queue, priority, delay, time to live, head, body; then the version twice
    (NULL: any), each queue's name, and how many those are. Stores all rows or none: none, too, if a queue refuses
    when it is full, unless ``room`` says that there is some."""
    row = f"({d.integer}, {d.text}, {d.integer}, {d.integer}, {d.integer}, {d.text}, {d.binary})"
    takes = "" if room else " AND NOT refuses"
    return (
        "INSERT INTO kombu_message (queue_id, priority, available_at, due_at, stored_at, expires_at,"
        " delivery_count, head, body)"
        " WITH item(place, queue, priority, delay, ttl, head, body) AS"
        f" (VALUES {', '.join([row] * rows)})"
        f" SELECT q.id, item.priority, {d.now} + item.delay, {d.now} + item.delay, {d.now}, {d.now} + item.ttl,"
        " 0, item.head, item.body"
        " FROM item JOIN kombu_queue q ON q.name = item.queue"
        f" WHERE ({d.integer} IS NULL OR {_VERSION} = {d.integer})"
        f" AND (SELECT COUNT(*) FROM kombu_queue WHERE name IN ({places(queues)}){takes}) = %s"
        " ORDER BY item.place"
    )


@lru_cache
def claim(d: Dialect, levels: tuple[int, ...]) -> str:
    """``levels``: for each queue its highest priority. Parameters: lease, token; for each queue, for each
    priority from the highest: queue name, priority, limit; and the queue's limit once more."""
    return _leased(d, " UNION ALL ".join(_candidates(d, highest) for highest in levels))


@lru_cache
def claim_head(d: Dialect, highest: int) -> str:
    """What stands at the head of a queue, and nothing instead of those that another claims meanwhile: parameters as
    of :func:`claim`."""
    head = d.chosen.format(_candidates(replace(d, lock=""), highest))
    return _leased(d, f"SELECT id FROM kombu_message WHERE {head} AND available_at <= {d.now}{d.lock}")


@lru_cache
def claim_chosen(d: Dialect, messages: int) -> str:
    """Parameters: lease, token, queue name, the ids."""
    return _leased(
        d,
        "SELECT id FROM kombu_message WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s)"
        f" AND id IN ({places(messages)}) AND (lease_token IS NULL OR available_at <= {d.now}){d.lock}",
    )


@lru_cache
def claim_expired(d: Dialect) -> str:
    """Parameters: lease, token, limit."""
    return _leased(
        d,
        f"SELECT id FROM kombu_message WHERE expires_at <= {d.now} AND available_at <= {d.now} LIMIT %s{d.lock}",
    )


@lru_cache
def any_expired(d: Dialect) -> str:
    """A row when there is something to expire."""
    return f"SELECT 1 FROM kombu_message WHERE expires_at <= {d.now} AND available_at <= {d.now} LIMIT 1"


@lru_cache
def browse(d: Dialect) -> str:
    """Parameters: queue name, the id after which to begin, limit."""
    return (
        f"SELECT {_COLUMNS.format(now=d.now)} FROM kombu_message"
        " WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s) AND id > %s ORDER BY id LIMIT %s"
    )


@lru_cache
def done(messages: int) -> str:
    """Parameters: token, the ids."""
    return f"DELETE FROM kombu_message WHERE lease_token = %s AND id IN ({places(messages)}) RETURNING id"


@lru_cache
def release(d: Dialect, messages: int, delayed: bool) -> str:
    """Parameters: what to take off the delivery count; the delay twice if ``delayed``; token, the ids."""
    due = f"due_at = {d.now} + %s, available_at = {d.now} + %s" if delayed else "available_at = due_at"
    return (
        f"UPDATE kombu_message SET lease_token = NULL, delivery_count = delivery_count - %s, {due}"
        f" WHERE lease_token = %s AND id IN ({places(messages)}) RETURNING id"
    )


@lru_cache
def extend(d: Dialect, messages: int) -> str:
    """Parameters: lease, token, the ids. Those that an open transaction is settling are left out: waiting for it
    would let the others' leases run out, and end in a deadlock when it settles more."""
    return (
        f"UPDATE kombu_message SET available_at = {d.now} + %s WHERE {d.chosen.format(held(messages) + d.lock)}"
        " RETURNING id"
    )


@lru_cache
def held(messages: int) -> str:
    """Parameters: token, the ids."""
    return f"SELECT id FROM kombu_message WHERE lease_token = %s AND id IN ({places(messages)})"


@lru_cache
def next_due(d: Dialect, levels: tuple[int, ...]) -> str:
    """Microseconds until the next message may be claimed, NULL without any. Parameters: for each queue, for
    each priority: queue name, priority."""
    earliest = (
        "SELECT MIN(available_at) AS due FROM kombu_message"
        " WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s) AND priority = %s"
    )
    parts = " UNION ALL ".join([earliest] * sum(highest + 1 for highest in levels))
    return f"SELECT MIN(due) - {d.now} FROM ({parts}) AS earliest"


@lru_cache
def counts(d: Dialect, queues: int) -> str:
    """Rows of queue, ready, delayed, leased, age of the oldest ready. Parameters: queue names."""
    leased = f"lease_token IS NOT NULL AND available_at > {d.now}"
    return (
        f"SELECT q.name, SUM(CASE WHEN available_at <= {d.now} THEN 1 ELSE 0 END),"
        f" SUM(CASE WHEN lease_token IS NULL AND available_at > {d.now} THEN 1 ELSE 0 END),"
        f" SUM(CASE WHEN {leased} THEN 1 ELSE 0 END),"
        f" {d.now} - MIN(CASE WHEN available_at <= {d.now} THEN stored_at END)"
        f" FROM kombu_queue q LEFT JOIN kombu_message m ON m.queue_id = q.id"
        f" WHERE q.name IN ({places(queues)}) GROUP BY q.name"
    )


@lru_cache
def purge(d: Dialect) -> str:
    """Parameters: queue name."""
    return (
        "DELETE FROM kombu_message WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s)"
        f" AND NOT (lease_token IS NOT NULL AND available_at > {d.now})"
    )


@lru_cache
def outbox_write(d: Dialect) -> str:
    """Parameters: connection, exchange, routing key, key, mandatory, properties, body, delay."""
    return (
        "INSERT INTO kombu_outbox (connection, exchange, routing_key, key, mandatory, properties, body,"
        " stored_at, due_at, available_at, attempts, error)"
        f" VALUES (%s, %s, %s, %s, %s, %s, %s, {d.now}, {d.now} + %s, {d.now}, 0, '')"
    )


@lru_cache
def outbox_claim(d: Dialect) -> str:
    """Parameters: connection, limit, lease, token. Nothing while any of the oldest rows is not available."""
    return (
        "WITH oldest AS (SELECT id, available_at FROM kombu_outbox"
        " WHERE connection = %s AND failed_at IS NULL ORDER BY id LIMIT %s)"
        f" UPDATE kombu_outbox SET available_at = {d.now} + %s, lease_token = %s, attempts = attempts + 1"
        f" WHERE id IN (SELECT id FROM oldest) AND available_at <= {d.now}"
        f" AND (SELECT MAX(available_at) FROM oldest) <= {d.now}"
        f" RETURNING id, exchange, routing_key, mandatory, properties, body, due_at - {d.now}, attempts"
    )


@lru_cache
def outbox_done(rows: int) -> str:
    """Parameters: token, the ids."""
    return f"DELETE FROM kombu_outbox WHERE lease_token = %s AND id IN ({places(rows)}) RETURNING id"


@lru_cache
def outbox_postpone(d: Dialect, rows: int) -> str:
    """Parameters: delay, error, token, the ids."""
    return (
        f"UPDATE kombu_outbox SET lease_token = NULL, available_at = {d.now} + %s, error = %s"
        f" WHERE lease_token = %s AND id IN ({places(rows)}) RETURNING id"
    )


@lru_cache
def outbox_fail(d: Dialect) -> str:
    """Parameters: error, token, id."""
    return (
        f"UPDATE kombu_outbox SET lease_token = NULL, failed_at = {d.now}, error = %s"
        " WHERE lease_token = %s AND id = %s RETURNING id"
    )


@lru_cache
def outbox_due(d: Dialect) -> str:
    """Microseconds until the oldest row may be taken. Parameters: connection."""
    return (
        f"SELECT available_at - {d.now} FROM kombu_outbox"
        " WHERE connection = %s AND failed_at IS NULL ORDER BY id LIMIT 1"
    )


@lru_cache
def inbox_add(d: Dialect) -> str:
    """Stores one row, or none when the message was handled before. Parameters: message id, queue."""
    return (
        "INSERT INTO kombu_inbox (message_id, queue, received_at)"
        f" VALUES (%s, %s, {d.now}) ON CONFLICT (message_id, queue) DO NOTHING"
    )


@lru_cache
def inbox_prune(d: Dialect) -> str:
    """Parameters: age."""
    return f"DELETE FROM kombu_inbox WHERE received_at < {d.now} - %s"


def prune_orphans() -> str:
    """Messages of queues that were deleted while they were being published."""
    return "DELETE FROM kombu_message WHERE queue_id NOT IN (SELECT id FROM kombu_queue)"


def _leased(d: Dialect, candidates: str) -> str:
    return (
        f"UPDATE kombu_message SET available_at = {d.now} + %s, lease_token = %s,"
        f" delivery_count = delivery_count + 1 WHERE {d.chosen.format(candidates)}"
        f" RETURNING {_COLUMNS.format(now=d.now)}"
    )


def _candidates(d: Dialect, highest: int) -> str:
    """One queue's messages. Each priority is a range of the index of its own, so that messages which are
    delayed or leased are never read over."""
    level = (
        "SELECT id, priority, available_at FROM kombu_message"
        " WHERE queue_id = (SELECT id FROM kombu_queue WHERE name = %s) AND priority = %s"
        f" AND available_at <= {d.now} ORDER BY available_at, id LIMIT %s{d.lock}"
    )
    levels = " UNION ALL ".join([f"SELECT * FROM ({level}) AS level"] * (highest + 1))
    ordered = f"SELECT id FROM ({levels}) AS found ORDER BY priority DESC, available_at, id LIMIT %s"
    return f"SELECT id FROM ({ordered}) AS chosen"


def places(number: int) -> str:
    """Placeholders for a list of that many values."""
    return ", ".join(["%s"] * number)
