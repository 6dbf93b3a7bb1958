"""The SQL about messages: put, claim, settle, extend and look.

Only names, placeholders and the clock are put together; every value is a parameter. Each text is made once. Claiming
with ``UPDATE … RETURNING`` is one statement; where a database lacks that, a transaction selects and then updates.
Putting with one ``INSERT … SELECT`` stores a batch and checks the topology's version in one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from kombu.sql.dialect import Dialect

ROWS_A_STATEMENT = 100

_ITEM = ("place", "queue", "priority", "delay", "ttl", "head", "body")


@lru_cache
def version(d: Dialect) -> str:
    """The version of the topology; 0 before anything was declared."""
    return f"SELECT {_version(d)}"


@lru_cache
def put_alike(d: Dialect, rows: int, delayed: bool, expiring: bool) -> str:
    """:func:`put` into one queue, for rows that differ in head and body only, at less than half its cost: a queue whose
    id is known for this version of the topology need not be looked for. Parameters: priority; the delay twice if
    ``delayed``; the time to live if ``expiring``; the queue's id; :func:`contents` of the rows; the id of the default
    exchange, and the version."""
    due = f"{d.now} + {d.integer}" if delayed else d.now
    end = f"{d.now} + {d.integer}" if expiring else "NULL"
    content, items, order = "item.head, item.body", f", {_contents(d, rows)}", " ORDER BY item.place"
    if rows == 1:
        content, items, order = f"{d.text}, {d.binary}", "", ""
    return (
        f"INSERT INTO {d.table('message')} (priority, available_at, due_at, stored_at, expires_at, delivery_count,"
        f" queue_id, head, body) SELECT {d.integer}, {due}, {due}, {d.now}, {end}, 0, {d.integer}, {content}"
        f" FROM {d.table('exchange')} e{items} WHERE e.id = {d.integer} AND e.version = {d.integer}{order}"
    )


@lru_cache
def put(d: Dialect, rows: int, queues: int, room: bool) -> str:
    """Parameters: for each row place, queue, priority, delay, time to live, head, body; then the version twice
    (NULL: any), each queue's name, and how many those are. Stores all rows or none: none, too, if a queue refuses
    when it is full, unless ``room`` says that there is some."""
    takes = "" if room else " AND NOT refuses"
    return (
        f"INSERT INTO {d.table('message')} (queue_id, priority, available_at, due_at, stored_at, expires_at,"
        " delivery_count, head, body)"
        f" WITH item({', '.join(_ITEM)}) AS ({_items(d, rows)})"
        f" SELECT q.id, item.priority, {d.now} + item.delay, {d.now} + item.delay, {d.now}, {d.now} + item.ttl,"
        " 0, item.head, item.body"
        f" FROM item JOIN {d.table('queue')} q ON q.name = item.queue"
        f" WHERE ({d.integer} IS NULL OR {_version(d)} = {d.integer})"
        f" AND (SELECT COUNT(*) FROM {d.table('queue')} WHERE name IN ({places(queues)}){takes}) = %s"
        " ORDER BY item.place"
    )


@lru_cache
def claim(d: Dialect, levels: tuple[int, ...]) -> str:
    """``levels``: for each queue its highest priority. Parameters: lease, token; for each queue, for each
    priority from the highest: queue name, priority, floor, limit; and the queue's limit once more."""
    return _leased(d, " UNION ALL ".join(_candidates(d, highest) for highest in levels))


@lru_cache
def claim_head(d: Dialect, highest: int) -> str:
    """What stands at the head of a queue, and nothing instead of those that another claims meanwhile: parameters as
    of :func:`claim`."""
    found = d.chosen.format(head(d, highest))
    ready = f"{d.table('message')} WHERE {found} AND available_at <= {d.now}"
    return _leased(d, f"SELECT {d.row} FROM {ready}{d.skip_locked}")


@lru_cache
def head(d: Dialect, highest: int) -> str:
    """The rows at the head of a queue. Parameters: as :func:`claim`, without lease and token."""
    return _candidates(replace(d, skip_locked=""), highest)


@lru_cache
def claim_chosen(d: Dialect, messages: int) -> str:
    """Parameters: lease, token, queue name, the ids."""
    return _leased(d, f"SELECT {d.row} FROM {_chosen(d, messages)}{d.skip_locked}")


@lru_cache
def claim_expired(d: Dialect) -> str:
    """Parameters: lease, token, limit."""
    return _leased(d, f"SELECT {d.row} FROM {_expired(d)} LIMIT %s{d.skip_locked}")


@lru_cache
def due_levels(d: Dialect, levels: tuple[int, ...]) -> str:
    """Rows of queue, priority: where something may be claimed. Parameters: for each queue, for each priority from the
    highest: queue name, priority, and both again."""
    one = f"SELECT %s AS queue, %s AS priority FROM DUAL WHERE EXISTS (SELECT 1 FROM {_due(d)})"
    return " UNION ALL ".join([one] * sum(highest + 1 for highest in levels))


@lru_cache
def lock_due(d: Dialect) -> str:
    """Lock and read the first messages of a queue's priority. Parameters: queue name, priority, floor, limit."""
    first = f"{_due(d)} AND available_at >= %s ORDER BY available_at, {d.tie} LIMIT %s"
    return f"SELECT {_columns(d)} FROM {first}{d.skip_locked}"


@lru_cache
def lock_ready(d: Dialect, messages: int) -> str:
    """Lock and read those of them that may be claimed. Parameters: the ids."""
    ready = f"{d.among(messages)} AND available_at <= {d.now}"
    return f"SELECT {_columns(d)} FROM {d.table('message')} WHERE {ready}{d.skip_locked}"


@lru_cache
def lock_chosen(d: Dialect, messages: int) -> str:
    """Lock and read. Parameters: queue name, the ids."""
    return f"SELECT {_columns(d)} FROM {_chosen(d, messages)}{d.skip_locked}"


@lru_cache
def lock_expired(d: Dialect) -> str:
    """Lock and read. Parameters: limit."""
    return f"SELECT {_columns(d)} FROM {_expired(d)} LIMIT %s{d.skip_locked}"


@lru_cache
def take(d: Dialect, messages: int) -> str:
    """Claim locked messages. Parameters: lease, token, the ids."""
    return f"{_take(d)} WHERE {d.among(messages)}"


@lru_cache
def any_expired(d: Dialect) -> str:
    """A row when there is something to expire."""
    return f"SELECT 1 FROM {_expired(d)} LIMIT 1"


@lru_cache
def browse(d: Dialect) -> str:
    """Parameters: queue name, the id after which to begin, limit."""
    return (
        f"SELECT {_columns(d)} FROM {d.table('message')} WHERE queue_id = {_queue(d)} AND id > %s ORDER BY id LIMIT %s"
    )


@lru_cache
def done(d: Dialect, messages: int) -> str:
    """Parameters: token, the ids."""
    return f"DELETE FROM {d.table('message')} {_held(d, messages)}{_returning(d.deletes_return)}"


@lru_cache
def release(d: Dialect, messages: int, delayed: bool) -> str:
    """Parameters: what to take off the delivery count; the delay twice if ``delayed``; token, the ids."""
    due = f"due_at = {d.now} + %s, available_at = {d.now} + %s" if delayed else "available_at = due_at"
    return (
        f"UPDATE {d.table('message')} SET delivery_count = delivery_count - %s, {due}, lease_token = NULL"
        f" {_held(d, messages)}{_returning(d.updates_return)}"
    )


@lru_cache
def extend(d: Dialect, messages: int) -> str:
    """Parameters: lease, token, the ids. Those that an open transaction is settling are left out: waiting for it
    would let the others' leases run out, and end in a deadlock when it settles more."""
    change = f"UPDATE {d.table('message')} SET available_at = {d.now} + %s"
    if not d.updates_return:
        return f"{change} {_held(d, messages)}"
    rows = f"SELECT {d.row} FROM {d.table('message')} {_held(d, messages)}{d.skip_locked}"
    return f"{change} WHERE {d.chosen.format(rows)} RETURNING id"


@lru_cache
def held(d: Dialect, messages: int) -> str:
    """Parameters: token, the ids."""
    return f"SELECT id FROM {d.table('message')} {_held(d, messages)}"


@lru_cache
def live(d: Dialect, messages: int) -> str:
    """Those whose lease has not run out: what has, another may be taking. Parameters: token, the ids."""
    return f"{held(d, messages)} AND available_at > {d.now}"


@lru_cache
def next_due(d: Dialect, levels: tuple[int, ...]) -> str:
    """Microseconds until the next message may be claimed, NULL without any. Parameters: for each queue, for
    each priority: queue name, priority. The first of an order, since PostgreSQL may look at all for a minimum."""
    message = f"{d.table('message')} WHERE queue_id = {_playing(d)} AND priority = %s"
    first = f"SELECT due FROM (SELECT available_at AS due FROM {message} ORDER BY available_at LIMIT 1) AS level"
    parts = " UNION ALL ".join([first] * sum(highest + 1 for highest in levels))
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
        f" FROM {d.table('queue')} q LEFT JOIN {d.table('message')} m ON m.queue_id = q.id"
        f" WHERE q.name IN ({places(queues)}) GROUP BY q.name"
    )


@lru_cache
def purge(d: Dialect) -> str:
    """Parameters: queue name."""
    return (
        f"DELETE FROM {d.table('message')} WHERE queue_id = {_queue(d)}"
        f" AND NOT (lease_token IS NOT NULL AND available_at > {d.now})"
    )


@lru_cache
def prune_orphans(d: Dialect) -> str:
    """Messages of queues that were deleted while they were being published."""
    return f"DELETE FROM {d.table('message')} WHERE queue_id NOT IN (SELECT id FROM {d.table('queue')})"


def places(number: int) -> str:
    """Placeholders for a list of that many values."""
    return ", ".join(["%s"] * number)


def _version(d: Dialect) -> str:
    return f"COALESCE((SELECT version FROM {d.table('exchange')} WHERE name = ''), 0)"


def _items(d: Dialect, rows: int) -> str:
    casts = dict.fromkeys(_ITEM, d.integer) | {"queue": d.text, "head": d.text, "body": d.binary}
    if d.values:
        row = f"({', '.join(casts.values())})"
        return f"VALUES {', '.join([row] * rows)}"
    return " UNION ALL ".join([f"SELECT {', '.join(casts.values())}"] * rows)


def contents(d: Dialect, rows: Sequence[tuple[str, bytes]]) -> list[Any]:
    """Of heads and bodies the parameters for :func:`put_alike`."""
    if d.arrays and len(rows) > 1:
        return [[head for head, _ in rows], [body for _, body in rows]]
    return [part for row in rows for part in row]


def _contents(d: Dialect, rows: int) -> str:
    """The place of each row, its head and its body. In a union the first row names and types the columns."""
    if d.arrays:
        return "unnest(%s::text[], %s::bytea[]) WITH ORDINALITY AS item(head, body, place)"
    first = f"SELECT 0 AS place, {d.text} AS head, {d.binary} AS body"
    others = (f"SELECT {place}, %s, {d.binary}" for place in range(1, rows))
    return f"({' UNION ALL '.join([first, *others])}) AS item"


def _columns(d: Dialect) -> str:
    expired = f"expires_at IS NOT NULL AND expires_at <= {d.now}"
    return f"id, queue_id, priority, delivery_count, lease_token, {expired}, {d.now} - stored_at, due_at, head, body"


def _queue(d: Dialect) -> str:
    return f"(SELECT id FROM {d.table('queue')} WHERE name = %s)"


def _playing(d: Dialect) -> str:
    """A queue that is not paused."""
    return f"(SELECT id FROM {d.table('queue')} WHERE name = %s AND NOT paused)"


def _due(d: Dialect) -> str:
    return f"{d.table('message')} WHERE queue_id = {_playing(d)} AND priority = %s AND available_at <= {d.now}"


def _chosen(d: Dialect, messages: int) -> str:
    return (
        f"{d.table('message')} WHERE queue_id = {_queue(d)} AND {d.among(messages)}"
        f" AND (lease_token IS NULL OR available_at <= {d.now})"
    )


def _expired(d: Dialect) -> str:
    """Ordered, so that no database has a reason to look at messages that never expire."""
    return f"{d.table('message')} WHERE expires_at <= {d.now} AND available_at <= {d.now} ORDER BY expires_at"


def _held(d: Dialect, messages: int) -> str:
    return f"WHERE lease_token = %s AND {d.among(messages)}"


def _returning(has: bool) -> str:
    return " RETURNING id" if has else ""


def _take(d: Dialect) -> str:
    return (
        f"UPDATE {d.table('message')} SET available_at = {d.now} + %s, lease_token = %s,"
        " delivery_count = delivery_count + 1"
    )


def _leased(d: Dialect, candidates: str) -> str:
    return f"{_take(d)} WHERE {d.chosen.format(candidates)} RETURNING {_columns(d)}"


def _candidates(d: Dialect, highest: int) -> str:
    """One queue's messages. Each priority is a range of the index of its own, so that messages which are delayed or
    leased are never read over. The highest stands first, and the limit stops before the others are looked at: no
    database runs the parts of a union in another order when rows are locked, and the suites would see it."""
    level = (
        f"SELECT {d.row} FROM {_due(d)} AND available_at >= {d.integer}"
        f" ORDER BY available_at, {d.tie} LIMIT %s{d.skip_locked}"
    )
    levels = " UNION ALL ".join([f"SELECT {d.row} FROM ({level}) AS level"] * (highest + 1))
    return f"SELECT {d.row} FROM ({levels} LIMIT %s) AS chosen"
