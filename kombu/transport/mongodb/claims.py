"""Claiming: what may be claimed is read, and taken if nobody has changed it since; of several claimers one wins."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from kombu.transport.mongodb import documents
from kombu.transport.mongodb.documents import AVAILABLE, NOW, Document, Stage
from kombu.transport.mongodb.limits import limited
from kombu.transport.mongodb.server import TOPOLOGY, Server
from kombu.transport.mongodb.settling import MongoSettling
from kombu.transport.mongodb.topology import Known
from kombu.transport.virtual.store import Delivery, MessageId

FREE: Document = {"$or": [{"token": None}, {"$expr": AVAILABLE}]}
"""Held by nobody: delayed, or ready."""

AT_ONCE = 50
"""Queues that one request looks at."""

_ATTEMPTS = 4
"""How often a claim picks anew when others were faster."""
_MOST_SPREAD = 8
_ENOUGH = 32 << 20
"""Bytes of bodies that one claim reads."""


class MongoClaims(MongoSettling):
    """A batch of however many queues is two requests, and a third where others took a part of it."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._spread = 1
        """Among so many portions of what is ready a claim chooses one: more while others are at it, too."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        wanted = {queue: limit for queue, limit in wants.items() if limit > 0}
        if not wanted:
            return []
        for _ in range(_ATTEMPTS):
            known = self.known_with(wanted)
            limits = {known.ids[queue]: limit for queue, limit in wanted.items() if queue in known.ids}
            picked = self._pick(limits, known) if limits else []
            if picked is None:
                self.refreshed()
                continue
            claimed = self._claim(picked, lease, known)
            self._spread = 1 if len(claimed) == len(picked) else min(2 * self._spread, _MOST_SPREAD)
            if claimed or not picked:
                return claimed
        return []

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        known = self.known_with(queues)
        taken: list[Delivery] = []
        for spec in limited(queues, known):
            with self.server.asking():
                found = self.beyond(spec, known.ids[spec.name])
            taken += self._claim(found, lease, known)
        return taken

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        known = self.refreshed()
        if queue not in known.ids:
            return []
        match: Document = {"queue": known.ids[queue]}
        if after is not None:
            match["_id"] = {"$gt": after}
        pipeline: list[Stage] = [{"$match": match}, {"$sort": {"_id": 1}}, {"$limit": limit}, {"$set": {"now": NOW}}]
        with self.server.asking():
            found = list(self.server.messages.aggregate(pipeline))
        return [documents.delivery(each, queue, 0, documents.deliveries(each)) for each in found]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        known = self.refreshed()
        if queue not in known.ids or not ids:
            return []
        chosen = {"_id": {"$in": list(ids)}, "queue": known.ids[queue], **FREE}
        with self.server.asking():
            found = list(self.server.messages.aggregate([{"$match": chosen}, {"$set": {"now": NOW}}]))
        return self._claim(found, lease, known)

    def _pick(self, limits: Mapping[int, int], known: Known) -> list[Document] | None:
        """What may be claimed first of each queue, in order; None where the topology is another by now."""
        aside = secrets.randbelow(self._spread)
        picked: list[Document] = []
        ids = list(limits)
        for at in range(0, len(ids), AT_ONCE):
            some = ids[at : at + AT_ONCE]
            branches = [documents.first_ready(id, limits[id], aside * limits[id]) for id in some]
            found = self.look(branches, some, known)
            if found is None:
                return None
            picked += found
        if not picked and aside:
            self._spread = 1
            return self._pick(limits, known)
        return picked

    def look(self, branches: list[list[Stage]], ids: Sequence[int], known: Known) -> list[Document] | None:
        """What each branch finds, without the queues that are paused; None where the topology is another by now.

        It ends early where it has found so much that the rest may as well come the next time.
        """
        messages, queues = self.server.messages.name, self.server.queues.name
        paused = [{"$match": {"_id": {"$in": list(ids)}, "paused": True}}, {"$project": {"paused": 1}}]
        pipeline: list[Stage] = [
            {"$match": {"_id": TOPOLOGY, "version": {"$ne": known.version}}},
            {"$project": {"version": 1}},
            {"$unionWith": {"coll": queues, "pipeline": paused}},
            *({"$unionWith": {"coll": messages, "pipeline": each}} for each in branches),
        ]
        found: list[Document] = []
        stopped: set[object] = set()
        size = 0
        with self.server.asking(), self.server.messages.aggregate(pipeline, batchSize=1000) as cursor:
            for each in cursor:
                if each["_id"] == TOPOLOGY:
                    return None
                if "queue" not in each:
                    stopped.add(each["_id"])
                elif each["queue"] not in stopped:
                    found.append(each)
                    size += each["size"] if isinstance(each.get("size"), int) else 0
                if size > _ENOUGH:
                    break
        return found

    def _claim(self, found: list[Document], lease: float, known: Known) -> list[Delivery]:
        """Of the documents found those that nobody else has claimed meanwhile. One request, or another to see which."""
        if not found:
            return []
        token, messages = secrets.randbits(62), self.server.messages
        with self.server.asking():
            won = messages.update_many(documents.as_seen(found), documents.lease(token, lease)).matched_count
            mine = found if won else []
            if 0 < won < len(found):
                ids = [each["_id"] for each in found]
                held = messages.find({"_id": {"$in": ids}, "token": token}, {"_id": 1})
                mine = documents.by_id(found, (each["_id"] for each in held))
        return [
            documents.delivery(each, known.names[each["queue"]], token, documents.deliveries(each) + 1) for each in mine
        ]
