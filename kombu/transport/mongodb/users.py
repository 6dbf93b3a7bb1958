"""Who uses a queue: a list in the queue's own document, changed together with the end of its life.

The document of a queue::

    _id          its number
    name         for people
    declared_at
    users        those who use it, in the order they came: {user, until}
    gone_at      when nobody will have used it for too long; only where that ends it
    paused       whether it gives nothing out
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo import UpdateOne

from kombu.transport.mongodb.documents import NOW, Document, Stage, after, literal
from kombu.transport.mongodb.topology import MongoTopology
from kombu.transport.virtual.store import QueueSpec, User

_THERE = {"$filter": {"input": "$users", "cond": {"$gt": ["$$this.until", NOW]}}}
_NAMES = {"$map": {"input": "$users", "in": "$$this.user"}}
_ALIVE = {"$or": [{"gone_at": None}, {"$expr": {"$gt": ["$gone_at", NOW]}}]}


class MongoUsers(MongoTopology):
    """A queue whose ``gone_at`` has come is dead for good: nobody comes to it, and whoever finds it removes it."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        known = self.known_with({user.queue for user in users})
        coming = [user for user in users if user.queue in known.ids]
        if not coming:
            return [False] * len(users)
        operations = [
            UpdateOne(
                {"_id": known.ids[user.queue], **_ALIVE}, _coming(user, known.topology.queues[user.queue], seconds)
            )
            for user in coming
        ]
        with self.server.asking():
            came = self.server.queues.bulk_write(operations).matched_count
        if came == len(users):
            return [True] * len(users)
        alive = self._alive([known.ids[user.queue] for user in coming])
        there = [user.queue in known.ids and known.ids[user.queue] in alive for user in users]
        if not all(there) and self.refreshed().version != known.version:  # deleted, and declared again
            return self.attend(users, seconds)
        return there

    def leave(self, users: Sequence[User]) -> None:
        known = self.known_with({user.queue for user in users})
        operations = [
            UpdateOne({"_id": known.ids[user.queue]}, _leaving(user, known.topology.queues[user.queue]))
            for user in users
            if user.queue in known.ids
        ]
        if not operations:
            return
        with self.server.asking():
            matched = self.server.queues.bulk_write(operations).matched_count
        if matched < len(operations) and self.refreshed().version != known.version:  # deleted, and declared again
            self.leave(users)

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        known = self.known_with(queues)
        ids = [known.ids[queue] for queue in queues if queue in known.ids]
        pipeline: list[Stage] = [{"$match": {"_id": {"$in": ids}}}, {"$set": {"users": _THERE}}]
        with self.server.asking():
            found = list(self.server.queues.aggregate(pipeline))
        return {known.names[each["_id"]]: _users(known.names[each["_id"]], each) for each in found}

    def expire_queues(self) -> list[str]:
        over = {"gone_at": {"$exists": True}, "$expr": {"$lte": ["$gone_at", NOW]}}
        with self.server.asking():
            found = [each["_id"] for each in self.server.queues.find(over, {"_id": 1}) if each.get("_id") is not None]
        if not found:
            return []
        known = self.refreshed()
        ended = {known.names[id]: id for id in found if id in known.names}
        gone = self.forget_queues(ended) if ended else {}
        self.remove_rest(found)
        return list(gone)

    def pause(self, queue: str, paused: bool = True) -> bool:
        known = self.refreshed()
        if queue not in known.ids:
            return False
        with self.server.asking():
            change = {"$set": {"paused": paused}}
            return self.server.queues.update_one({"_id": known.ids[queue]}, change).matched_count == 1

    def paused(self) -> list[str]:
        known = self.refreshed()
        with self.server.asking():
            found = [each["_id"] for each in self.server.queues.find({"paused": True}, {"_id": 1})]
        return [known.names[id] for id in found if id in known.names]

    def _alive(self, ids: Iterable[int]) -> set[int]:
        with self.server.asking():
            return {each["_id"] for each in self.server.queues.find({"_id": {"$in": list(ids)}, **_ALIVE}, {"_id": 1})}


def _coming(user: User, queue: QueueSpec, seconds: float) -> list[Stage]:
    """Those who were away too long have lost their place; with 0 seconds it is a moment's use."""
    life = queue.unused_life
    if not seconds:
        if life is None:
            return [{"$set": {"users": "$users"}}]
        return [{"$set": {"gone_at": {"$max": ["$gone_at", after(life)]}}}]
    until, name = after(seconds), literal(_name(user))
    renewed = {"$cond": [{"$eq": ["$$this.user", name]}, {"user": "$$this.user", "until": until}, "$$this"]}
    added = {"$concatArrays": ["$users", [{"user": name, "until": until}]]}
    stages: list[Stage] = [
        {"$set": {"users": _THERE}},
        {"$set": {"users": {"$cond": [{"$in": [name, _NAMES]}, _each(renewed), added]}}},
    ]
    if life is not None:
        last = {"$max": {"$map": {"input": "$users", "in": "$$this.until"}}}
        stages.append({"$set": {"gone_at": {"$add": [last, _whole(life)]}}})
    return stages


def _leaving(user: User, queue: QueueSpec) -> list[Stage]:
    """Who was not there changes nothing."""
    name, life = literal(_name(user)), queue.unused_life
    others = {"$filter": {"input": "$users", "cond": {"$ne": ["$$this.user", name]}}}
    if life is None:
        return [{"$set": {"users": others}}]
    staying = {"$filter": {"input": _NAMES_THERE, "cond": {"$ne": ["$$this", name]}}}
    consumers = {"$filter": {"input": staying, "cond": {"$eq": [{"$substrCP": ["$$this", 0, 1]}, _CONSUMER]}}}
    ends = [{"case": {"$not": [{"$in": [name, _NAMES]}]}, "then": "$gone_at"}]
    if user.consumer and queue.auto_delete:
        ends.append({"case": {"$eq": [{"$size": consumers}, 0]}, "then": NOW})
    ends.append({"case": {"$eq": [{"$size": staying}, 0]}, "then": after(life)})
    return [{"$set": {"gone_at": {"$switch": {"branches": ends, "default": "$gone_at"}}}}, {"$set": {"users": others}}]


def _each(expression: Document) -> Document:
    return {"$map": {"input": "$users", "in": expression}}


_NAMES_THERE = {"$map": {"input": _THERE, "in": "$$this.user"}}
_CONSUMER, _OWNER = "c", "o"
"""What a user's name begins with."""


def _name(user: User) -> str:
    return (_CONSUMER if user.consumer else _OWNER) + user.who


def _users(queue: str, document: Document) -> list[User]:
    names = [each["user"] for each in document["users"]]
    return [User(queue, name[1:], consumer=name[0] == _CONSUMER) for name in names]


def _whole(seconds: float) -> int:
    return round(seconds * 1000)
