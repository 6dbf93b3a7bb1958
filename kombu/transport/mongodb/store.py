"""A handle on the queues of one database: what it can keep, waiting, counting, and keeping house."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from kombu.transport.mongodb import documents
from kombu.transport.mongodb.claims import AT_ONCE, FREE, MongoClaims
from kombu.transport.mongodb.documents import AVAILABLE, NOW, ORDER, Document, Stage
from kombu.transport.mongodb.puts import MAX_BODY
from kombu.transport.mongodb.server import Server
from kombu.transport.mongodb.topology import Known
from kombu.transport.mongodb.waiting import Bell, Poll, Watch
from kombu.transport.virtual.store import Capabilities, Counts, Delivery

logger = logging.getLogger(__name__)

_EVERYWHERE = frozenset(
    {
        "x-message-ttl",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-delivery-limit",
        "x-single-active-consumer",
    }
)
_WITH_TRANSACTIONS = Capabilities(
    name="mongodb", queue_arguments=_EVERYWHERE | {"x-overflow"}, max_batch=500, max_body=MAX_BODY
)
_WITHOUT = Capabilities(name="mongodb", queue_arguments=_EVERYWHERE, max_batch=500, max_body=MAX_BODY, atomic_put=False)

_LOOK_FOR_RESTS = 600.0
"""Seconds between two looks for what a crash has left of deleted queues."""


class MongoStore(MongoClaims):
    """Times are the server's, and whoever compares them is the server."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._bell = Bell()
        self._poll = Poll()
        self._watch: Watch | None = None
        self._rests_at = time.monotonic() + _LOOK_FOR_RESTS / 10

    @property
    def capabilities(self) -> Capabilities:
        """Without a replica set there are no transactions: batches are not atomic, and a full queue cannot refuse."""
        return _WITH_TRANSACTIONS if self.server.replicated else _WITHOUT

    def open(self) -> None:
        """Connect, and make collections and indexes where there are none."""
        self.server.open()
        settings = self.server.settings
        if not self.server.replicated:
            logger.info("%s: no replica set, so no transactions and no change streams", self.server.place)
        elif settings.change_streams:
            self._watch = Watch(self.server.messages, self._bell, self.server.place, settings.timeout)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        self.server.close()

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        known = self.known_with(queues)
        ids = [known.ids[queue] for queue in queues if queue in known.ids]
        watch = self._watch
        self._poll.wait(
            self._bell,
            lambda: self._due_in(ids, known),
            lambda: watch is not None and watch.covers(set(ids)),
            timeout,
        )

    def wake(self) -> None:
        self._bell.wake()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        known = self.refreshed()
        asked = {known.ids[queue]: queue for queue in queues if queue in known.ids}
        if not asked:
            return {}
        with self.server.asking():
            found = {each["_id"]: each for each in self.server.messages.aggregate(_counting(list(asked)))}
        return {queue: _counts(found.get(id)) for id, queue in asked.items()}

    def purge(self, queue: str) -> int:
        known = self.refreshed()
        if queue not in known.ids:
            return 0
        with self.server.asking():
            return self.server.messages.delete_many({"queue": known.ids[queue], **FREE}).deleted_count

    def delete(self, queue: str) -> int:
        gone = self.forget_queues({queue: None})
        return self.remove_rest(gone.values()) if gone else 0

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        self._sweep_rests()
        expired = {"expires_at": {"$exists": True}, "$and": [{"$expr": {"$lte": ["$expires_at", NOW]}}, FREE]}
        with self.server.asking():
            pipeline: list[Stage] = [{"$match": expired}, {"$limit": limit}, {"$set": {"now": NOW}}]
            found = list(self.server.messages.aggregate(pipeline))
        if not found:
            return []
        known = self.known()
        if any(each.get("queue") not in known.names for each in found):
            known = self.refreshed()
        return self._claim([each for each in found if each.get("queue") in known.names], lease, known)

    def _due_in(self, ids: Sequence[int], known: Known) -> float | None:
        """Seconds until something may be claimed, 0 where the topology is another by now."""
        due: list[float] = []
        for at in range(0, len(ids), AT_ONCE):
            some = ids[at : at + AT_ONCE]
            found = self.look([_next(id, known) for id in some], some, known)
            if found is None:
                self.refreshed()
                return 0.0
            due += [-documents.elapsed(each["available_at"], each["now"]) for each in found]
        return min(due, default=None)

    def _sweep_rests(self) -> None:
        """Now and then: remove what a crash has left of queues that are gone. Those that have messages are asked
        for before the topology is read: what is not in that was deleted."""
        if time.monotonic() < self._rests_at:
            return
        self._rests_at = time.monotonic() + _LOOK_FOR_RESTS
        old = {"$expr": {"$lte": ["$declared_at", documents.after(-_LOOK_FOR_RESTS)]}}
        with self.server.asking():
            used = set(self.server.messages.distinct("queue"))
            used |= {each["_id"] for each in self.server.queues.find(old, {"_id": 1})}
        rests = {id for id in used if isinstance(id, int)} - self.refreshed().names.keys()
        if rests:
            self.remove_rest(rests)


def _next(id: int, known: Known) -> list[Stage]:
    """What of a queue becomes available next: the first of each priority."""
    first: list[Stage] = [{"$match": {"queue": id}}, {"$sort": ORDER}]
    if known.topology.queues[known.names[id]].max_priority:
        first.append({"$group": {"_id": "$priority", "available_at": {"$first": "$available_at"}}})
    else:
        first += [{"$limit": 1}, {"$project": {"available_at": 1}}]
    return [*first, {"$set": {"now": NOW, "queue": id}}]


def _counting(ids: Sequence[int]) -> list[Stage]:
    later, held = {"$gt": ["$available_at", NOW]}, {"$gt": ["$token", None]}
    sums = {
        "ready": {"$sum": {"$cond": [AVAILABLE, 1, 0]}},
        "leased": {"$sum": {"$cond": [{"$and": [later, held]}, 1, 0]}},
        "delayed": {"$sum": {"$cond": [{"$and": [later, {"$not": [held]}]}, 1, 0]}},
        "oldest": {"$min": {"$cond": [AVAILABLE, "$stored_at", None]}},
    }
    return [{"$match": {"queue": {"$in": ids}}}, {"$group": {"_id": "$queue", **sums}}, {"$set": {"now": NOW}}]


def _counts(found: Document | None) -> Counts:
    if found is None:
        return Counts()
    oldest = documents.elapsed(found["oldest"], found["now"]) if found["ready"] else None
    return Counts(ready=found["ready"], delayed=found["delayed"], leased=found["leased"], oldest=oldest)
