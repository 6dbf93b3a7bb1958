"""Room in queues of limited length: what is too much, and what publishers have reserved. Sizes are bytes.

A queue that refuses when it is full has a document in which those who publish reserve room before they store::

    _id       p:<number>
    name      the queue's, for people
    reserved  {who, length, size, until} for each
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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


def nothing_reserved(number: str, queue: str) -> Document:
    return {"_id": documents.room(number), "name": queue, "reserved": []}


def reserved(doc: Mapping[str, Any], now: int) -> list[dict[str, Any]]:
    """What has not been given back, and not lapsed."""
    return [each for each in doc["reserved"] if each["until"] > now]


def total(reserved: Sequence[Mapping[str, Any]]) -> Room:
    return sum((Room(each["length"], each["size"]) for each in reserved), Room())


def reservation(who: str, room: Room, timeout: float, now: int) -> dict[str, Any]:
    """Kept so long that somebody for whom the server takes ``timeout`` seconds has stored the messages, or has gone."""
    until = now + int(max(_LEAST, _ANSWERS * timeout) * SECOND)
    return {"who": who, "length": room.length, "size": room.size, "until": until}
