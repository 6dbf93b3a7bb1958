"""A message as a document: the ids that put them in order, and what stands in them. Times are whole microseconds.

Ids begin with ``r:`` for what was ready when it was stored, and with ``w:`` for what had to wait; then comes the
queue's number. All that is ready of a queue is one range of the database's own index, ``_all_docs``, in the order of
delivery; what waited and is due by now is a second one. The first of the first range is the queue's gate, which is no
message and tells whether the queue is there, and whether it is paused: so that who claims need not ask.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from typing import Any

from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.store import Delivery, Envelope, Lease

Document = dict[str, Any]

SECOND = 1_000_000
TOPOLOGY = "kombu-topology"
END = "~"
"""Behind every digit and letter."""

_NUMBER = re.compile(r"[0-9a-f]{24}\Z")
_LOWEST = 255
_MARK = len("x:") + 17 + 1


def ready(number: str) -> str:
    """What the ids of a queue's ready messages begin with."""
    return f"r:{number}:"


def waiting(number: str) -> str:
    """What the ids of messages begin with that had to wait."""
    return f"w:{number}:"


def gate(number: str) -> str:
    """The id of a queue's gate."""
    return ready(number)


def room(number: str) -> str:
    """What the ids of documents begin with in which publishers reserve room in a queue that refuses when it is full."""
    return f"p:{number}:"


def is_message(id: str) -> bool:
    """Whether this is a message's id, and not that of a gate, or of something else."""
    return id.startswith(("r:", "w:")) and id != gate(number_in(id))


def new_number() -> str:
    return secrets.token_hex(12)


def is_number(number: str) -> bool:
    """Whether it may have been made here; who writes into the database besides us may have others."""
    return _NUMBER.match(number) is not None


def number_in(id: str) -> str:
    """The number of the queue that a message is in, or a document of its queue's."""
    return f"{id}::".split(":")[1]


def moment(at: int) -> str:
    """As text that is ordered."""
    return f"{at:017d}"


def message(queue: str, number: str, envelope: Envelope, now: int) -> Document:
    """A new document, stored ``now``. The queue's name is for people."""
    due = now + int(envelope.delay * SECOND)
    doc: Document = {
        "_id": _id(number, envelope.priority, due, waits=envelope.delay > 0),
        "queue": queue,
        "head": envelope.head,
        "body": base64.b64encode(envelope.body).decode("ascii"),
        "size": len(envelope.body),
        "priority": envelope.priority,
        "stored": now,
        "due": due,
        "available": due,
        "count": 0,
    }
    if envelope.ttl is not None:
        doc["expires"] = now + int(envelope.ttl * SECOND)
    return doc


def postponed(doc: Mapping[str, Any], due: int) -> Document:
    """The same message as a new document, which waits."""
    rest = {name: value for name, value in doc.items() if name not in ("_rev", "token")}
    return {**rest, "_id": _id(number_in(doc["_id"]), priority_of(doc), due, waits=True), "due": due, "available": due}


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


def size_of(doc: Mapping[str, Any]) -> int:
    """Bytes of its body."""
    return max(_whole(doc, "size"), 0)


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


def _id(number: str, priority: int, due: int, *, waits: bool) -> str:
    unique = uuid.uuid4().hex[:16]
    if waits:
        return f"{waiting(number)}{moment(due)}:{_LOWEST - priority:03d}:{unique}"
    return f"{ready(number)}{_LOWEST - priority:03d}:{moment(due)}:{unique}"


def _body(doc: Mapping[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(doc["body"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _whole(doc: Mapping[str, Any], name: str) -> int:
    value = doc.get(name)
    return value if isinstance(value, int) else 0
