"""Queues of limited length: what is too much is claimed from the head, or refused before anything is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from pymongo.client_session import ClientSession

from kombu.transport.mongodb.documents import BACKWARDS, NOW, Document, Stage, ready
from kombu.transport.mongodb.topology import Known
from kombu.transport.mongodb.users import MongoUsers
from kombu.transport.virtual.store import Envelope, QueueFull, QueueSpec


class MongoLimits(MongoUsers):
    """Counting and storing are one step: a transaction which changes the queue's document first, so that there is
    one at a time."""

    def beyond(self, queue: QueueSpec, id: int) -> list[Document]:
        """What is ready beyond the limits, from the head: all that stands before as much as the queue may have."""
        found = self._beyond_length(queue.max_length, id) if queue.max_length is not None else []
        if queue.max_bytes is not None:
            others = self._beyond_bytes(queue.max_bytes, id)
            found = max(found, others, key=len)  # both are what stands at the head
        return found[::-1]

    def see_room(self, session: ClientSession, known: Known, items: Iterable[tuple[str, Envelope]]) -> None:
        """Raises :class:`QueueFull` where a queue that refuses has no room for its part."""
        lengths: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for queue, envelope in items:
            if refuses(known.topology.queues[queue]):
                lengths[queue] += 1
                sizes[queue] += len(envelope.body)
        for queue in sorted(lengths):
            self.server.queues.update_one({"_id": known.ids[queue]}, {"$inc": {"puts": 1}}, session=session)
            spec = known.topology.queues[queue]
            length, size = self._is_ready(session, known.ids[queue])
            if spec.max_length is not None and length + lengths[queue] > spec.max_length:
                raise QueueFull(queue)
            if spec.max_bytes is not None and size + sizes[queue] > spec.max_bytes:
                raise QueueFull(queue)

    def _is_ready(self, session: ClientSession, id: int) -> tuple[int, int]:
        pipeline: list[Stage] = [
            {"$match": ready(id)},
            {"$group": {"_id": None, "length": {"$sum": 1}, "size": {"$sum": "$size"}}},
        ]
        for found in self.server.messages.aggregate(pipeline, session=session):
            return found["length"], found["size"]
        return 0, 0

    def _beyond_length(self, length: int, id: int) -> list[Document]:
        pipeline: list[Stage] = [{"$match": ready(id)}, {"$sort": BACKWARDS}, {"$skip": length}, {"$set": {"now": NOW}}]
        return list(self.server.messages.aggregate(pipeline))

    def _beyond_bytes(self, most: int, id: int) -> list[Document]:
        sized: list[Stage] = [{"$match": ready(id)}, {"$sort": BACKWARDS}, {"$project": {"size": 1}}]
        beyond = []
        for each in self.server.messages.aggregate(sized):
            most -= each["size"] if isinstance(each.get("size"), int) else 0
            if most < 0:
                beyond.append(each["_id"])
        if not beyond:
            return []
        whole: list[Stage] = [{"$match": {"_id": {"$in": beyond}}}, {"$set": {"now": NOW}}]
        documents = {each["_id"]: each for each in self.server.messages.aggregate(whole)}
        return [documents[id] for id in beyond if id in documents]


def refuses(queue: QueueSpec) -> bool:
    """Whether it may refuse a message."""
    return queue.refuses_when_full and (queue.max_length is not None or queue.max_bytes is not None)


def limited(queues: Sequence[str], known: Known) -> list[QueueSpec]:
    """Those of the queues that have a limit."""
    specs = [known.topology.queues[queue] for queue in queues if queue in known.ids]
    return [spec for spec in specs if spec.max_length is not None or spec.max_bytes is not None]
