"""A message as a document: the ids that put them in order, and what stands in them. Times are whole microseconds.

Ids begin with ``r:`` for what was ready when it was stored, and with ``w:`` for what had to wait; then comes a digest
of the queue's name. All that is ready of a queue is one range of the database's own index, ``_all_docs``, in the order
of delivery; what waited and is due by now is a second one.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.store import Delivery, Envelope, Lease

Document = dict[str, Any]

SECOND = 1_000_000
TOPOLOGY = "kombu-topology"
END = "~"
"""Behind every digit and letter."""

_LOWEST = 255
_MARK = len("x:") + 17 + 1


def digest(queue: str) -> str:
    return sha256(queue.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def ready(queue: str) -> str:
    """What the ids of ready messages begin with."""
    return f"r:{digest(queue)}:"


def waiting(queue: str) -> str:
    """What the ids of messages begin with that had to wait."""
    return f"w:{digest(queue)}:"


def moment(at: int) -> str:
    """As text that is ordered."""
    return f"{at:017d}"


def message(queue: str, envelope: Envelope, now: int) -> Document:
    """A new document, stored ``now``."""
    due = now + int(envelope.delay * SECOND)
    doc: Document = {
        "_id": _id(queue, envelope.priority, due, waits=envelope.delay > 0),
        "queue": queue,
        "head": envelope.head,
        "body": base64.b64encode(envelope.body).decode("ascii"),
        "priority": envelope.priority,
        "stored": now,
        "due": due,
        "available": due,
        "count": 0,
    }
    if envelope.ttl is not None:
        doc["expires"] = now + int(envelope.ttl * SECOND)
    return doc


def postponed(doc: Mapping[str, Any], queue: str, due: int) -> Document:
    """The same message as a new document, which waits."""
    rest = {name: value for name, value in doc.items() if name not in ("_rev", "token")}
    return {**rest, "_id": _id(queue, priority_of(doc), due, waits=True), "due": due, "available": due}


def mark(doc: Mapping[str, Any]) -> Document | None:
    """A small document that brings the message up when its time to live is over; None for one without."""
    expires = doc.get("expires")
    return {"_id": f"x:{moment(expires)}:{doc['_id']}"} if isinstance(expires, int) else None


def marked(id: str) -> str:
    """The message that a mark is about."""
    return id[_MARK:]


def deleted(id: str, revision: str) -> Document:
    return {"_id": id, "_rev": revision, "_deleted": True}


def leased(doc: Mapping[str, Any], token: str, now: int, seconds: float) -> Document:
    """As it is once somebody has claimed it."""
    return {**doc, "token": token, "available": now + int(seconds * SECOND), "count": count_of(doc) + 1}


def released(doc: Mapping[str, Any], now: int, counted: bool) -> Document:
    """As it was before it was claimed."""
    rest = {name: value for name, value in doc.items() if name != "token"}
    return {**rest, "available": min(_whole(doc, "due"), now), "count": count_of(doc) - (not counted)}


def is_available(doc: Mapping[str, Any], now: int) -> bool:
    return _whole(doc, "available") <= now


def stored_at(doc: Mapping[str, Any], otherwise: int) -> int:
    stored = doc.get("stored")
    return stored if isinstance(stored, int) else otherwise


def order(doc: Mapping[str, Any]) -> tuple[int, int, str]:
    """Its place among those that may be claimed."""
    return -priority_of(doc), _whole(doc, "due"), str(doc["_id"])


def priority_of(doc: Mapping[str, Any]) -> int:
    return min(max(_whole(doc, "priority"), 0), _LOWEST)


def count_of(doc: Mapping[str, Any]) -> int:
    return max(_whole(doc, "count"), 0)


def delivery(doc: Mapping[str, Any], lease: Lease, now: int) -> Delivery:
    """What others have written into the database, and is no message of ours, comes as it is, as JSON."""
    head, body = doc.get("head"), _body(doc)
    if not isinstance(head, str) or body is None:
        head = encode_head("", lease.queue, {"content_type": "application/octet-stream", "content_encoding": "binary"})
        body = json.dumps({name: value for name, value in doc.items() if name not in _OURS}).encode()
    expires = doc.get("expires")
    return Delivery(
        lease,
        head,
        body,
        priority_of(doc),
        count_of(doc),
        isinstance(expires, int) and expires <= now,
        max(now - stored_at(doc, now), 0) / SECOND,
    )


_OURS = ("_rev", "token", "available", "count")


def _id(queue: str, priority: int, due: int, *, waits: bool) -> str:
    unique = uuid.uuid4().hex[:16]
    if waits:
        return f"{waiting(queue)}{moment(due)}:{_LOWEST - priority:03d}:{unique}"
    return f"{ready(queue)}{_LOWEST - priority:03d}:{moment(due)}:{unique}"


def _body(doc: Mapping[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(doc["body"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _whole(doc: Mapping[str, Any], name: str) -> int:
    value = doc.get(name)
    return value if isinstance(value, int) else 0
