"""Room in queues of limited length: what is too much, and what publishers have reserved. Sizes are bytes.

Who publishes to a queue that refuses when it is full reserves room before storing, in a document of its own::

    _id           p:<number>:<random>
    name          the queue's, for people
    length, size  of the messages that are being stored
    until         when that has lapsed
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kombu.transport.couchdb import documents
from kombu.transport.couchdb.documents import SECOND, Document
from kombu.transport.virtual.store import Envelope, QueueSpec

_LEAST = 30.0
_ANSWERS = 3


class Room(NamedTuple):
    """What messages take, or what there is of them."""

    length: int = 0
    size: int = 0

    def __add__(self, other: object) -> Room:
        if not isinstance(other, Room):
            return NotImplemented
        return Room(self.length + other.length, self.size + other.size)


def is_limited(queue: QueueSpec) -> bool:
    return queue.max_length is not None or queue.max_bytes is not None


def fits(queue: QueueSpec, room: Room) -> bool:
    """Whether the queue may have so much."""
    within_length = queue.max_length is None or room.length <= queue.max_length
    return within_length and (queue.max_bytes is None or room.size <= queue.max_bytes)


def too_many(queue: QueueSpec, ready: Room) -> int:
    """How many messages to look at that may be too much, where so much is ready; of bytes nobody knows how many."""
    over = 0 if queue.max_length is None else max(ready.length - queue.max_length, 0)
    return ready.length if queue.max_bytes is not None and ready.size > queue.max_bytes else over


def beyond(queue: QueueSpec, ready: Room, head: Iterable[Document]) -> list[Document]:
    """How much of the queue's head is too much, where so much is ready."""
    found: list[Document] = []
    for doc in head:
        if fits(queue, ready):
            break
        found.append(doc)
        ready += Room(-1, -documents.size_of(doc))
    return found


def wanted(items: Iterable[tuple[str, Envelope]], queues: Mapping[str, QueueSpec]) -> dict[str, Room]:
    """What these messages take in each queue that may refuse them."""
    rooms: dict[str, Room] = {}
    for queue, envelope in items:
        if queues[queue].refuses_when_full and is_limited(queues[queue]):
            rooms[queue] = rooms.get(queue, Room()) + Room(1, len(envelope.body))
    return rooms


def new(number: str, queue: str) -> Document:
    """Of nobody else."""
    return {"_id": documents.room(number) + secrets.token_hex(8), "name": queue}


def taken(doc: Document, room: Room, timeout: float, now: int) -> Document:
    """Kept so long that somebody for whom the server takes ``timeout`` seconds has stored the messages, or has gone."""
    until = now + int(max(_LEAST, _ANSWERS * timeout) * SECOND)
    return {**doc, "length": room.length, "size": room.size, "until": until}


def given_back(doc: Document, now: int) -> Document:
    return {**doc, "length": 0, "size": 0, "until": now}


def total(docs: Iterable[Document], now: int) -> Room:
    """What is reserved in these, and has not lapsed."""
    return sum((Room(doc["length"], doc["size"]) for doc in docs if doc["until"] > now), Room())
