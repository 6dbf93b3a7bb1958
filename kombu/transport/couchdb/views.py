"""What people look at, by views: indexes that the server brings up to date when it is asked, and counts in without
reading them. Claiming needs none of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.transport.couchdb.documents import SECOND, Document, is_available, stored_at
from kombu.transport.couchdb.http import CONFLICT, MISSING, Database
from kombu.transport.virtual.store import Counts

_NAME = "/_design/kombu-1"
_VIEW = f"{_NAME}/_view/messages"
_MAP = """function (doc) {
  if (typeof doc.queue === "string" && typeof doc.available === "number") {
    emit([doc.queue, doc.token ? 1 : 0, doc.available], doc.stored);
  }
}"""
_STORED = f"{_NAME}/_view/stored"
_MAP_STORED = """function (doc) {
  if (typeof doc.queue === "string") { emit([doc.queue, doc.stored, doc._id], null); }
}"""
_FREE, _LEASED = 0, 1


def count(database: Database, queue: str, now: int) -> Counts:
    """By the view: what is there at this moment."""
    _prepare(database)
    every = _sum(_reduced(database, [queue], [queue, {}]))
    delayed = _sum(_reduced(database, [queue, _FREE, now + 1], [queue, _FREE, {}]))
    leased = _sum(_reduced(database, [queue, _LEASED, now + 1], [queue, _LEASED, {}]))
    ready = every - delayed - leased
    return Counts(ready=ready, delayed=delayed, leased=leased, oldest=_oldest(database, queue, now) if ready else None)


def count_few(docs: Iterable[Document], now: int) -> Counts:
    """The same of these documents, which are all."""
    ready, delayed, leased = list[int](), 0, 0
    for doc in docs:
        if is_available(doc, now):
            ready.append(stored_at(doc, now))
        elif "token" in doc:
            leased += 1
        else:
            delayed += 1
    oldest = max(now - min(ready), 0) / SECOND if ready else None
    return Counts(ready=len(ready), delayed=delayed, leased=leased, oldest=oldest)


def stored_since(database: Database, queue: str, limit: int, after: str | None) -> list[Document]:
    """Messages in the order in which they were stored, behind one of them."""
    _prepare(database)
    start: list[object] = [queue]
    if after is not None:
        found = database.find([after]).get(after)
        start = [queue, stored_at(found or {}, _moment_in(after)), after]
    params = {"startkey": start, "endkey": [queue, {}], "limit": limit + 1, "include_docs": True}
    rows = database.rows(params, _STORED)
    return [row["doc"] for row in rows if row["id"] != after and row.get("doc")][:limit]


def _moment_in(id: str) -> int:
    """When a message that is gone was stored, or was due, as its id says."""
    return max((int(part) for part in id.split(":")[2:] if part.isdecimal()), default=0)


def _oldest(database: Database, queue: str, now: int) -> float | None:
    """Seconds that the first has been there, of those that nobody has claimed or else of those that came back."""
    for kind in (_FREE, _LEASED):
        params = {"startkey": [queue, kind], "endkey": [queue, kind, now], "reduce": False, "limit": 1}
        for row in database.rows(params, _VIEW):
            return max(now - stored_at({"stored": row["value"]}, now), 0) / SECOND
    return None


def _reduced(database: Database, start: list[Any], end: list[Any], **more: object) -> list[dict[str, Any]]:
    return database.rows({"startkey": start, "endkey": end, **more}, _VIEW)


def _sum(rows: list[dict[str, Any]]) -> int:
    return sum(int(row["value"]) for row in rows)


def _prepare(database: Database) -> None:
    """Make the views unless they are there."""
    status, _ = database.ask("GET", _NAME, expect=(MISSING,))
    if status == MISSING:
        views = {"messages": {"map": _MAP, "reduce": "_count"}, "stored": {"map": _MAP_STORED}}
        database.ask("PUT", _NAME, body={"language": "javascript", "views": views}, expect=(CONFLICT,))
