"""What lies in the collections: a message as a document, and the expressions that the server evaluates by its clock.

Each message is a document of the collection of messages::

    _id           text that sorts in the order of one client's messages
    queue         the number of its queue; a queue that is deleted and declared again has another
    priority      higher first
    available_at  when it may be claimed: at once, after a delay, or when the lease that somebody has on it runs out
    due_at        its place in line, which a release restores
    stored_at
    expires_at    when its time to live is over; only where it has one
    token         of the latest claim, until it is released
    deliveries    how often it was claimed
    changes       how often it was changed in any way: who claims it names what has been seen
    size          bytes of the body
    head, body    text and bytes, opaque here
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import json_util
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING, UpdateOne

from kombu.transport.virtual.store import Delivery, Envelope, Lease

Document = dict[str, Any]
Stage = Mapping[str, Any]

ORDER = {"priority": DESCENDING, "available_at": ASCENDING, "_id": ASCENDING}
"""Of delivery; with the queue before it the index that claims use."""

BACKWARDS = {"priority": ASCENDING, "available_at": DESCENDING, "_id": DESCENDING}

NOW = {"$toDate": {"$toLong": "$$NOW"}}
"""The server's clock (https://www.mongodb.com/docs/manual/reference/aggregation-variables/), through a number: still a
constant to a server, and there are some that would not compare it with dates in documents otherwise."""

AVAILABLE = {"$lte": ["$available_at", NOW]}


def after(seconds: float) -> Document:
    """The moment so many seconds from now."""
    return {"$add": [NOW, milliseconds(seconds)]}


def milliseconds(seconds: float) -> int:
    """Whole ones, and no fraction of one is lost: nothing comes before its time."""
    return -int(-seconds * 1000 // 1)


def literal(value: object) -> Document:
    """The value itself where the server would look for an expression in it."""
    return {"$literal": value}


def put(id: str, queue: int, envelope: Envelope) -> UpdateOne:
    """Stores one message. It is an update that inserts, since only those know the server's clock."""
    head, body, priority, delay, ttl = envelope
    due = after(delay) if delay else NOW
    fields: Document = {
        "queue": queue,
        "priority": priority,
        "available_at": due,
        "due_at": due,
        "stored_at": NOW,
        "deliveries": 0,
        "changes": 0,
        "size": len(body),
        "head": literal(head),
        "body": literal(body),
    }
    if ttl is not None:
        fields["expires_at"] = after(ttl)
    return UpdateOne({"_id": id}, [{"$set": fields}], upsert=True)


def ready(queue: int) -> Document:
    """Those of a queue that may be claimed."""
    return {"queue": queue, "$expr": AVAILABLE}


def first_ready(queue: int, limit: int, skip: int = 0) -> list[Stage]:
    """The first of those, whole, with the server's time: one range of the index for each priority."""
    first: list[Stage] = [{"$match": ready(queue)}, {"$sort": ORDER}]
    return [*first, *([{"$skip": skip}] if skip else []), {"$limit": limit}, {"$set": {"now": NOW}}]


def as_seen(found: Sequence[Document]) -> Document:
    """Those documents that nobody has changed since they were read: what makes one claimer of several the winner."""
    by_changes: dict[object, list[object]] = {}
    for document in found:
        by_changes.setdefault(document.get("changes"), []).append(document["_id"])
    alike = [{"_id": {"$in": ids}, "changes": changes} for changes, ids in by_changes.items()]
    if len(alike) == 1:
        return alike[0]
    return {"_id": {"$in": [document["_id"] for document in found]}, "$or": alike}


def lease(token: int, seconds: float) -> list[Stage]:
    """What a claim changes."""
    return _changing({"token": token, "available_at": after(seconds), "deliveries": _and_one("$deliveries")})


def extension(seconds: float) -> list[Stage]:
    """What lets a lease run longer."""
    return _changing({"available_at": after(seconds)})


def transfer(token: int, seconds: float) -> list[Stage]:
    """What makes a lease another's, without being a claim."""
    return _changing({"token": token, "available_at": after(seconds)})


def release(delay: float, counted: bool) -> list[Stage]:
    """What putting it back changes: without a delay it has the place it had."""
    changed: Document = {"available_at": "$due_at"}
    if delay:
        changed = {"available_at": after(delay), "due_at": after(delay)}
    if not counted:
        changed["deliveries"] = {"$subtract": ["$deliveries", 1]}
    return [*_changing(changed), {"$unset": ["token"]}]


def _changing(fields: Document) -> list[Stage]:
    return [{"$set": {**fields, "changes": _and_one("$changes")}}]


def _and_one(field: str) -> Document:
    """One more. Who forged a message may have left it out."""
    return {"$add": [{"$cond": [{"$isNumber": field}, field, 0]}, 1]}


def delivery(document: Document, queue: str, token: int, count: int) -> Delivery:
    """A document as a message. One that somebody else has put there is handed on as it is."""
    now = _moment(document.get("now"))
    stored, expires = _moment(document.get("stored_at")), _moment(document.get("expires_at"))
    expired = expires is not None and now is not None and expires <= now
    age = 0.0 if stored is None or now is None else max((now - stored) / 1000, 0.0)
    head, priority = document.get("head"), document.get("priority")
    return Delivery(
        Lease(queue, document["_id"], token),
        head if isinstance(head, str) else "",
        _body(document),
        priority if isinstance(priority, int) else 0,
        count,
        expired,
        age,
    )


def deliveries(document: Document) -> int:
    """How often it was claimed."""
    count = document.get("deliveries")
    return count if isinstance(count, int) else 0


def by_id(documents: Sequence[Document], ids: Iterable[object]) -> list[Document]:
    """Of the documents those that are among ``ids``, in their order."""
    wanted = set(ids)
    return [document for document in documents if document["_id"] in wanted]


def elapsed(since: object, now: object) -> float:
    """Seconds between two of the server's moments."""
    first, last = _moment(since), _moment(now)
    return 0.0 if first is None or last is None else (last - first) / 1000


def _body(document: Document) -> bytes:
    body = document.get("body")
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    known = {name: value for name, value in document.items() if name != "now"}
    return json_util.dumps(known).encode()


def _moment(value: object) -> int | None:
    """Milliseconds since 1970."""
    return int(value) if isinstance(value, DatetimeMS) else None
