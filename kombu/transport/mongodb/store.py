"""The messages: put, claimed by a token that exactly one gets, settled by that token."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from pymongo import DeleteMany, UpdateMany, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from kombu.exceptions import ConnectionError, PreconditionFailed, PublishUncertain
from kombu.transport.mongodb import documents
from kombu.transport.mongodb.documents import AVAILABLE, NOW, ORDER, Document, Stage
from kombu.transport.mongodb.errors import explaining, write_errors
from kombu.transport.mongodb.ids import Ids
from kombu.transport.mongodb.limits import MongoLimits, limited, refuses
from kombu.transport.mongodb.server import TOPOLOGY, Server
from kombu.transport.mongodb.topology import Known
from kombu.transport.mongodb.waiting import Bell, Poll, Watch
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    MessageId,
    Move,
    Outcome,
    Release,
    TopologyMoved,
)

logger = logging.getLogger(__name__)

MAX_BODY = 15 << 20
MAX_MESSAGE = (16 << 20) - 4096
"""Bytes: a document has 16 MiB at most (https://www.mongodb.com/docs/manual/reference/limits/)."""

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

_ATTEMPTS = 4
"""How often a claim picks anew when others were faster, and a put without a version is tried again."""
_MOST_SPREAD = 8
_AT_ONCE = 50
"""Queues that one request looks at."""
_ENOUGH = 32 << 20
"""Bytes of bodies that one claim reads."""
_TYPE_MISMATCH = 14
_LOOK_FOR_RESTS = 600.0
"""Seconds between two looks for what a crash has left of deleted queues."""


class MongoStore(MongoLimits):
    """A handle on the queues of one database. Times are the server's, and whoever compares them is the server."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._ids = Ids()
        self._bell = Bell()
        self._poll = Poll()
        self._watch: Watch | None = None
        self._spread = 1
        """Among so many portions of what is ready a claim chooses one: more while others are at it, too."""
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

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` where the server did not say whether it has stored them."""
        if not items:
            self.check_version(version)
            return
        try:
            self._put(items, version)
        except ConnectionError as exc:
            if exc.uncertain:
                raise PublishUncertain(f"{exc}; {len(items)} messages may have been stored, or not") from exc
            raise

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
            if claimed or not picked:
                return claimed
        return []

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers: list[bool] = []
        for moves, group in groupby(outcomes, key=_is_move):
            if moves:
                answers += [self._move(outcome) for outcome in group if isinstance(outcome, Move)]
            else:
                answers += self._settle(list(group))
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        if not leases:
            return []
        later = documents.extension(seconds)
        operations = [UpdateMany(_held(token, ids), later) for token, ids in _by_token(leases).items()]
        with explaining(self.server.place):
            matched = self.server.messages.bulk_write(operations, ordered=False).matched_count
        if matched == len(leases):
            return list(leases)
        held = self._tokens(leases)
        return [lease if held.get(lease.id) == lease.token else None for lease in leases]

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
        with explaining(self.server.place):
            found = {each["_id"]: each for each in self.server.messages.aggregate(_counting(list(asked)))}
        return {queue: _counts(found.get(id)) for id, queue in asked.items()}

    def purge(self, queue: str) -> int:
        known = self.refreshed()
        if queue not in known.ids:
            return 0
        with explaining(self.server.place):
            return self.server.messages.delete_many({"queue": known.ids[queue], **_FREE}).deleted_count

    def delete(self, queue: str) -> int:
        gone = self.forget_queues({queue: None})
        return self.remove_rest(gone.values()) if gone else 0

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        self._sweep_rests()
        expired = {"expires_at": {"$exists": True}, "$and": [{"$expr": {"$lte": ["$expires_at", NOW]}}, _FREE]}
        with explaining(self.server.place):
            pipeline: list[Stage] = [{"$match": expired}, {"$limit": limit}, {"$set": {"now": NOW}}]
            found = list(self.server.messages.aggregate(pipeline))
        if not found:
            return []
        known = self.known()
        if any(each.get("queue") not in known.names for each in found):
            known = self.refreshed()
        return self._claim([each for each in found if each.get("queue") in known.names], lease, known)

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        known = self.known_with(queues)
        taken: list[Delivery] = []
        for spec in limited(queues, known):
            with explaining(self.server.place):
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
        with explaining(self.server.place):
            found = list(self.server.messages.aggregate(pipeline))
        return [documents.delivery(each, queue, 0, documents.deliveries(each)) for each in found]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        known = self.refreshed()
        if queue not in known.ids or not ids:
            return []
        chosen = {"_id": {"$in": list(ids)}, "queue": known.ids[queue], **_FREE}
        with explaining(self.server.place):
            found = list(self.server.messages.aggregate([{"$match": chosen}, {"$set": {"now": NOW}}]))
        return self._claim(found, lease, known)

    def _put(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        _check_sizes(items)
        known = self.known_with(queue for queue, _ in items)
        for attempt in range(_ATTEMPTS):
            if version not in (None, known.version) and not attempt:
                known = self.refreshed()
            if version not in (None, known.version) or any(queue not in known.ids for queue, _ in items):
                raise TopologyMoved
            try:
                self._store(items, known)
                return
            except TopologyMoved:
                known = self.refreshed()
        raise TopologyMoved

    def _store(self, items: Sequence[tuple[str, Envelope]], known: Known) -> None:
        """One request where there is one message, and another to commit more than one."""
        operations = self._puts(items, known)
        with explaining(self.server.place):
            if any(refuses(known.topology.queues[queue]) for queue, _ in items):
                self.server.transaction(lambda session: self._store_if_room(items, operations, known, session))
            elif len(items) > 1 and self.server.replicated:
                self.server.transaction(lambda session: self._write(operations, session))
            else:
                self._write(operations)

    def _store_if_room(
        self, items: Sequence[tuple[str, Envelope]], operations: list[UpdateOne], known: Known, session: ClientSession
    ) -> None:
        self.see_room(session, known, items)
        self._write(operations, session)

    def _puts(self, items: Sequence[tuple[str, Envelope]], known: Known) -> list[UpdateOne]:
        ids = self._ids.take(len(items))
        stores = [documents.put(id, known.ids[queue], each) for id, (queue, each) in zip(ids, items, strict=True)]
        return [_unless_moved(known.version), *stores]

    def _write(self, operations: list[UpdateOne], session: ClientSession | None = None) -> None:
        """In order: the first looks at the version, and the others are left out where it fails."""
        try:
            self.server.messages.bulk_write(operations, session=session)
        except BulkWriteError as exc:
            if (0, _TYPE_MISMATCH) in write_errors(exc):
                raise TopologyMoved from None
            raise

    def _pick(self, limits: Mapping[int, int], known: Known) -> list[Document] | None:
        """What may be claimed first of each queue, in order; None where the topology is another by now."""
        aside = secrets.randbelow(self._spread)
        picked: list[Document] = []
        ids = list(limits)
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            branches = [documents.first_ready(id, limits[id], aside * limits[id]) for id in some]
            found = self._look(branches, some, known)
            if found is None:
                return None
            picked += found
        if not picked and aside:
            self._spread = 1
            return self._pick(limits, known)
        return picked

    def _look(self, branches: list[list[Stage]], ids: Sequence[int], known: Known) -> list[Document] | None:
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
        with explaining(self.server.place), self.server.messages.aggregate(pipeline, batchSize=1000) as cursor:
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
        with explaining(self.server.place):
            won = messages.update_many(documents.as_seen(found), documents.lease(token, lease)).matched_count
            mine = found if won else []
            if 0 < won < len(found):
                ids = [each["_id"] for each in found]
                held = messages.find({"_id": {"$in": ids}, "token": token}, {"_id": 1})
                mine = documents.by_id(found, (each["_id"] for each in held))
        self._spread = 1 if won == len(found) else min(2 * self._spread, _MOST_SPREAD)
        return [
            documents.delivery(each, known.names[each["queue"]], token, documents.deliveries(each) + 1) for each in mine
        ]

    def _settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        if len(outcomes) == 1 and isinstance(outcomes[0], Done):
            lease = outcomes[0].lease
            with explaining(self.server.place):
                return [self.server.messages.delete_one({"_id": lease.id, "token": lease.token}).deleted_count == 1]
        tokens = self._tokens([outcome.lease for outcome in outcomes])
        held: list[Outcome] = []
        answers = []
        for outcome in outcomes:
            answers.append(tokens.pop(outcome.lease.id, None) == outcome.lease.token)
            if answers[-1]:
                held.append(outcome)
        if held and (lost := self._carry_out(held)):
            return [answer and outcome.lease not in lost for answer, outcome in zip(answers, outcomes, strict=True)]
        return answers

    def _carry_out(self, outcomes: Sequence[Outcome]) -> set[Lease]:
        """Whose leases were lost at the last moment."""
        operations: list[DeleteMany | UpdateMany] = []
        done = [outcome.lease for outcome in outcomes if isinstance(outcome, Done)]
        operations += [DeleteMany(_held(token, ids)) for token, ids in _by_token(done).items()]
        released: dict[tuple[float, bool], list[Lease]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Release):
                released.setdefault((outcome.delay, outcome.counted), []).append(outcome.lease)
        for (delay, counted), leases in released.items():
            back = documents.release(delay, counted)
            operations += [UpdateMany(_held(token, ids), back) for token, ids in _by_token(leases).items()]
        with explaining(self.server.place):
            result = self.server.messages.bulk_write(operations, ordered=False)
        if result.deleted_count + result.matched_count == len(outcomes):
            return set()
        left = self._tokens(done)
        return {lease for lease in done if lease.id in left}

    def _move(self, move: Move) -> bool:
        if not move.into:
            return self._settle([Done(move.lease)])[0]
        return self._move_at_once(move) if self.server.replicated else self._move_in_order(move)

    def _move_at_once(self, move: Move) -> bool:
        """One step."""
        known, operations = self._places(move)

        def work(session: ClientSession) -> bool:
            gone = self.server.messages.delete_one({"_id": move.lease.id, "token": move.lease.token}, session=session)
            if gone.deleted_count:
                self._store_if_room(move.into, operations, known, session)
            return gone.deleted_count == 1

        with explaining(self.server.place):
            return self.server.transaction(work)

    def _move_in_order(self, move: Move) -> bool:
        """Stored before it is removed. A new token first: of two who move the same message one gets it."""
        _, operations = self._places(move)
        lease, token = move.lease, secrets.randbits(62)
        mine = documents.transfer(token, self.server.settings.timeout)
        with explaining(self.server.place):
            if not self.server.messages.update_one({"_id": lease.id, "token": lease.token}, mine).matched_count:
                return False
            try:
                self._write(operations)
            except BaseException:
                self.server.messages.update_one({"_id": lease.id, "token": token}, {"$set": {"token": lease.token}})
                raise
            return self.server.messages.delete_one({"_id": lease.id, "token": token}).deleted_count == 1

    def _places(self, move: Move) -> tuple[Known, list[UpdateOne]]:
        """Where a move leads, by the topology as it is now. Raises :class:`TopologyMoved` where that is gone."""
        _check_sizes(move.into)
        known = self.refreshed()
        if any(queue not in known.ids for queue, _ in move.into):
            raise TopologyMoved
        return known, self._puts(move.into, known)

    def _tokens(self, leases: Sequence[Lease]) -> dict[MessageId, object]:
        """The token that each of these messages has now."""
        with explaining(self.server.place):
            found = self.server.messages.find({"_id": {"$in": [lease.id for lease in leases]}}, {"token": 1})
            return {each["_id"]: each.get("token") for each in found}

    def _due_in(self, ids: Sequence[int], known: Known) -> float | None:
        """Seconds until something may be claimed, 0 where the topology is another by now."""
        due: list[float] = []
        for at in range(0, len(ids), _AT_ONCE):
            some = ids[at : at + _AT_ONCE]
            found = self._look([_next(id, known) for id in some], some, known)
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
        with explaining(self.server.place):
            used = set(self.server.messages.distinct("queue"))
            used |= {each["_id"] for each in self.server.queues.find(old, {"_id": 1})}
        rests = {id for id in used if isinstance(id, int)} - self.refreshed().names.keys()
        if rests:
            self.remove_rest(rests)


_FREE = {"$or": [{"token": None}, {"$expr": AVAILABLE}]}
"""Held by nobody: delayed, or ready."""


def _is_move(outcome: Outcome) -> bool:
    return isinstance(outcome, Move)


def _unless_moved(version: int) -> UpdateOne:
    """Fails where the topology has another version, as text cannot be counted up; else it finds nothing to change."""
    return UpdateOne({"_id": TOPOLOGY, "version": {"$ne": version}}, {"$inc": {"text": 1}})


def _held(token: int | str, ids: Sequence[MessageId]) -> Document:
    return {"_id": {"$in": list(ids)}, "token": token}


def _by_token(leases: Iterable[Lease]) -> dict[int | str, list[MessageId]]:
    found: dict[int | str, list[MessageId]] = {}
    for _, id, token in leases:
        found.setdefault(token, []).append(id)
    return found


def _check_sizes(items: Iterable[tuple[str, Envelope]]) -> None:
    for queue, envelope in items:
        size = len(envelope.body) + len(envelope.head.encode("utf-8", "replace"))
        if size > MAX_MESSAGE:
            raise PreconditionFailed(
                f"a message of {size} bytes with its headers for queue {queue!r}: transport 'mongodb' keeps"
                f" {MAX_MESSAGE} bytes at most"
            )


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
