"""What people look at, by views: indexes that the server brings up to date when it is asked, and counts in without
reading them. Claiming needs none of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.transport.couchdb.documents import SECOND, Document, is_available, stored_at
from kombu.transport.couchdb.http import CONFLICT, Database, NotThere
from kombu.transport.couchdb.rooms import Room
from kombu.transport.virtual.store import Counts

_NAME = "/_design/kombu-1"
_VIEW = f"{_NAME}/_view/messages"
_STORED = f"{_NAME}/_view/stored"
_READY = f"{_NAME}/_view/ready"
_FREE, _LEASED = 0, 1

_OF_MESSAGES = """function (doc) {
  var id = doc._id.split(":"), number = id[1];
  function whole(value) { return typeof value === "number" ? value : 0; }
  if ((id[0] === "r" || id[0] === "w") && id[2]) { %s }
}"""
"""A gate is no message: nothing follows the number in its id."""
_VIEWS = {
    "messages": {
        "map": _OF_MESSAGES % "emit([number, doc.token ? 1 : 0, whole(doc.available)], whole(doc.stored));",
        "reduce": "_count",
    },
    "stored": {"map": _OF_MESSAGES % "emit([number, whole(doc.stored), doc._id], null);"},
    "ready": {"map": _OF_MESSAGES % "emit([number, whole(doc.available)], whole(doc.size));", "reduce": "_stats"},
}


def count(database: Database, number: str, now: int) -> Counts:
    """By the view: what is there at this moment."""
    every = _sum(_reduced(database, [number], [number, {}]))
    delayed = _sum(_reduced(database, [number, _FREE, now + 1], [number, _FREE, {}]))
    leased = _sum(_reduced(database, [number, _LEASED, now + 1], [number, _LEASED, {}]))
    ready = every - delayed - leased
    return Counts(ready=ready, delayed=delayed, leased=leased, oldest=_oldest(database, number, now) if ready else None)


def ready(database: Database, number: str, now: int) -> Room:
    """What is ready, in one look: what changes between two would be counted twice, or not at all."""
    for row in _rows(database, {"startkey": [number], "endkey": [number, now]}, _READY):
        return Room(int(row["value"]["count"]), int(row["value"]["sum"]))
    return Room()


def numbers(database: Database) -> set[str]:
    """Of queues that have messages, or had before they were deleted; as the view knows by now, which is brought up to
    date afterwards: nobody waits for that."""
    return {str(row["key"][0]) for row in _rows(database, {"group_level": 1, "update": "lazy"}, _READY)}


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


def stored_since(database: Database, number: str, limit: int, after: str | None) -> list[Document]:
    """Messages in the order in which they were stored, behind one of them."""
    start: list[object] = [number]
    if after is not None:
        found = database.find([after]).get(after)
        start = [number, stored_at(found or {}, _moment_in(after)), after]
    params = {"startkey": start, "endkey": [number, {}], "limit": limit + 1, "include_docs": True}
    rows = _rows(database, params, _STORED)
    return [row["doc"] for row in rows if row["id"] != after and row.get("doc")][:limit]


def _moment_in(id: str) -> int:
    """When a message that is gone was stored, or was due, as its id says."""
    return max((int(part) for part in id.split(":")[2:] if part.isdecimal()), default=0)


def _oldest(database: Database, number: str, now: int) -> float | None:
    """Seconds that the first has been there, of those that nobody has claimed or else of those that came back."""
    for kind in (_FREE, _LEASED):
        params = {"startkey": [number, kind], "endkey": [number, kind, now], "reduce": False, "limit": 1}
        for row in _rows(database, params, _VIEW):
            return max(now - stored_at({"stored": row["value"]}, now), 0) / SECOND
    return None


def _reduced(database: Database, start: list[Any], end: list[Any]) -> list[dict[str, Any]]:
    return _rows(database, {"startkey": start, "endkey": end}, _VIEW)


def _sum(rows: list[dict[str, Any]]) -> int:
    return sum(int(row["value"]) for row in rows)


def _rows(database: Database, params: dict[str, object], view: str) -> list[dict[str, Any]]:
    """Of a view; all are made where they are not there yet."""
    try:
        return database.rows(params, view)
    except NotThere:
        database.ask("PUT", _NAME, body={"language": "javascript", "views": _VIEWS}, expect=(CONFLICT,))
        return database.rows(params, view)
