"""The store: a message is a document, and a claim is a new revision of it, which exactly one client can write."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from kombu.exceptions import ConnectionError, NotFound, OperationalError, PreconditionFailed, PublishUncertain
from kombu.transport.couchdb import documents
from kombu.transport.couchdb.changes import Changes
from kombu.transport.couchdb.documents import END, SECOND, TOPOLOGY, Document
from kombu.transport.couchdb.http import EXISTS, MISSING, Database
from kombu.transport.couchdb.views import count, count_few, stored_since
from kombu.transport.virtual.document import DocumentTopology, read_topology
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
from kombu.transport.virtual.topology import Topology

CAPABILITIES = Capabilities(
    name="couchdb",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
        }
    ),
    max_batch=100,
    max_body=4 << 20,
    atomic_put=False,
)

_PAGE = 100
_FEW = 100
_ATTEMPTS = 20
_MOST_DOCUMENTS = 200
_MOST_BYTES = 4 << 20
"""In one request."""


class CouchDBStore(DocumentTopology[str]):
    """A handle on the queues in one database. ``connect`` gives connections to it."""

    capabilities = CAPABILITIES

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        self._connect = connect
        self._purges = purge
        self._lock = threading.RLock()
        self._held: dict[MessageId, Document] = {}
        self._known: tuple[str, Topology] | None = None
        self._last = 0

    def open(self) -> None:
        self._database = self._connect()
        try:
            self._create()
            if self._purges is None:
                self._purges = self._can_purge()
        except BaseException:
            self._database.close()
            raise
        self._changes = Changes(self._connect)

    def close(self) -> None:
        self._changes.close()
        with self._lock:
            self._database.close()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with self._lock:
            self._check(items, version)
            try:
                self._store(items)
            except ConnectionError as exc:
                if exc.uncertain:
                    raise PublishUncertain(f"{exc}; whether the messages were stored nobody knows") from exc
                raise

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self._lock:
            chosen = [(queue, doc) for queue, limit in wants.items() for doc in self._claimable(queue, limit)]
            return self._take(chosen, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._lock:
            self._fetch([outcome.lease for outcome in outcomes])
            answers: list[bool] = []
            waiting: list[Done | Release] = []
            for outcome in outcomes:
                if isinstance(outcome, Move):
                    answers += self._finish(waiting)
                    waiting = []
                    answers.append(self._move(outcome))
                else:
                    waiting.append(outcome)
            return answers + self._finish(waiting)

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._lock:
            self._fetch(leases)
            until = self._now() + int(seconds * SECOND)
            docs = [self._give_up(lease) for lease in leases]
            longer = [{**doc, "available": until} for doc in docs if doc is not None]
            for doc, revision in zip(longer, self._written(longer), strict=True):
                if revision is not None:
                    self._held[doc["_id"]] = {**doc, "_rev": revision}
            return [
                lease if doc is not None and lease.id in self._held else None
                for lease, doc in zip(leases, docs, strict=True)
            ]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        for due in map(self._next_due, queues):
            if due is not None:
                timeout = min(timeout, max(due - self._now(), 0) / SECOND)
        self._changes.wait(queues, timeout)

    def wake(self) -> None:
        self._changes.tell()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self._lock:
            known = self._current().queues
            return {queue: self._count(queue) for queue in queues if queue in known}

    def purge(self, queue: str) -> int:
        now = self._now()
        return self._remove(queue, lambda doc: "token" not in doc or documents.is_available(doc, now))

    def delete(self, queue: str) -> int:
        if not self.forget_queue(queue):
            return 0
        return self._remove(queue, lambda doc: True)

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with self._lock:
            now = self._now()
            marks = self._database.rows(
                {"startkey": "x:", "endkey": f"x:{documents.moment(now)}:{END}", "limit": limit}
            )
            found = self._database.find([id for each in marks if (id := documents.marked(each["id"]))])
            gone = [each for each in marks if documents.marked(each["id"]) not in found]
            self._delete([documents.deleted(each["id"], each["value"]["rev"]) for each in gone])
            known = [doc for doc in found.values() if isinstance(doc.get("queue"), str)]
            claimable = [doc for doc in known if documents.is_available(doc, now)]
            return self._take([(doc["queue"], doc) for doc in claimable], lease)

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with self._lock:
            now = self._now()
            docs = stored_since(self._database, queue, limit, None if after is None else str(after))
            return [documents.delivery(doc, _lease(queue, doc), now) for doc in docs]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        with self._lock:
            its = (documents.ready(queue), documents.waiting(queue))
            now, found = self._now(), self._database.find([str(id) for id in ids if str(id).startswith(its)])
            free = [doc for doc in found.values() if "token" not in doc or documents.is_available(doc, now)]
            return self._take([(queue, doc) for doc in free], lease)

    def read_document(self) -> tuple[str, str]:
        with self._lock:
            found = self._database.find([TOPOLOGY]).get(TOPOLOGY)
            text, revision = (str(found.get("text")), str(found["_rev"])) if found else ("", "")
            self._known = revision, read_topology(text, self.capabilities.name)
            return text, revision

    def write_document(self, text: str, version: int, revision: str) -> bool:
        with self._lock:
            doc: Document = {"_id": TOPOLOGY, "version": version, "text": text}
            return self._database.write([{**doc, "_rev": revision} if revision else doc]) != [None]

    def _create(self) -> None:
        status, _ = self._database.ask("GET", expect=(MISSING,))
        if status == MISSING:
            try:
                self._database.ask("PUT", expect=(EXISTS,))
            except (OperationalError, NotFound) as exc:
                raise OperationalError(f"{self._database.name} does not exist, and cannot be created: {exc}") from exc

    def _can_purge(self) -> bool:
        """Whether tombstones can be removed: CouchDB can from 2.3 on."""
        try:
            self._database.ask("POST", "/_purge", body={})
        except OperationalError:
            return False
        return True

    def _now(self) -> int:
        return self._database.clock.now()

    def _current(self) -> Topology:
        """As it is now; a short question while nothing changes."""
        if self._known is not None:
            found = self._database.find([TOPOLOGY], docs=False).get(TOPOLOGY, {"_rev": ""})
            if found["_rev"] == self._known[0]:
                return self._known[1]
        return self.topology()

    def _check(self, items: Iterable[tuple[str, Envelope]], version: int | None = None) -> None:
        topology = self._current()
        if version not in (None, topology.version) or not all(queue in topology.queues for queue, _ in items):
            raise TopologyMoved

    def _store(self, items: Sequence[tuple[str, Envelope]]) -> list[Document]:
        """The documents that were written, in as few requests as may be; or none, if one was refused."""
        docs = []
        for queue, envelope in items:
            self._last = max(self._now(), self._last + 1)  # each has a place of its own
            docs.append(documents.message(queue, envelope, self._last))
        return self._write_new([each for doc in docs for each in (documents.mark(doc), doc) if each is not None])

    def _write_new(self, docs: Sequence[Document]) -> list[Document]:
        written: list[Document] = []
        try:
            for request in _requests(docs):
                revisions = self._database.write(request)
                self._changes.made(revisions)
                written += [documents.deleted(d["_id"], r) for d, r in zip(request, revisions, strict=True) if r]
        except (OperationalError, PreconditionFailed) as exc:
            if not isinstance(exc, ConnectionError):
                self._delete(written)
            raise
        return written

    def _claimable(self, queue: str, limit: int) -> list[Document]:
        """The first of the queue, in the order of delivery."""
        if limit <= 0:
            return []
        now, found = self._now(), list[Document]()
        for doc in self._range(documents.ready(queue), documents.ready(queue) + END, limit):
            if documents.is_available(doc, now):
                found.append(doc)
                if len(found) == limit:
                    break
        waited = documents.waiting(queue)
        due = self._range(waited, f"{waited}{documents.moment(now)}:{END}", limit)
        found += [doc for doc in due if documents.is_available(doc, now)]
        return sorted(found, key=documents.order)[:limit]

    def _range(self, start: str, end: str, first: int = _PAGE) -> Iterator[Document]:
        """All documents between these ids, page by page; ``first`` is how many are wanted at first."""
        size, skip = min(max(first, 8), _PAGE), 0
        while True:
            params = {"startkey": start, "endkey": end, "limit": size, "skip": skip, "include_docs": True}
            rows = self._database.rows(params)
            yield from (row["doc"] for row in rows if row.get("doc"))
            if len(rows) < size:
                return
            start, skip, size = rows[-1]["id"], 1, _PAGE

    def _documents(self, queue: str) -> Iterator[Document]:
        for beginning in (documents.ready(queue), documents.waiting(queue)):
            yield from self._range(beginning, beginning + END)

    def _take(self, chosen: Sequence[tuple[str, Document]], seconds: float) -> list[Delivery]:
        """Claim these, as far as nobody else was faster."""
        if not chosen:
            return []
        token, now = secrets.token_hex(8), self._now()
        docs = [documents.leased(doc, token, now, seconds) for _, doc in chosen]
        deliveries = []
        for (queue, _), doc, revision in zip(chosen, docs, self._written(docs), strict=True):
            if revision is not None:
                doc["_rev"] = revision
                self._held[doc["_id"]] = doc
                deliveries.append(documents.delivery(doc, Lease(queue, doc["_id"], token), now))
        return deliveries

    def _written(self, docs: list[Document]) -> list[str | None]:
        revisions: list[str | None] = []
        for request in _requests(docs):
            answered = self._database.write(request)
            self._changes.made(answered)
            revisions += answered
        return revisions

    def _fetch(self, leases: Iterable[Lease]) -> None:
        """Read what is not at hand: what another handle has claimed, or nobody holds any more."""
        missing = [str(lease.id) for lease in leases if lease.id not in self._held]
        self._held.update(self._database.find(list(dict.fromkeys(missing))))

    def _give_up(self, lease: Lease) -> Document | None:
        """The document of this lease, which we hold no longer; None where the lease is not the latest."""
        doc = self._held.get(lease.id)
        if doc is None or doc.get("token") != lease.token:
            return None
        return self._held.pop(lease.id)

    def _finish(self, outcomes: Sequence[Done | Release]) -> list[bool]:
        """A revision that is not ours any more cannot be replaced: where that fails, somebody else has the message."""
        now = self._now()
        docs = [self._give_up(outcome.lease) for outcome in outcomes]
        pairs = [(outcome, doc) for outcome, doc in zip(outcomes, docs, strict=True) if doc is not None]
        later = self._postpone(pairs, now)
        changes = [_ended(outcome, doc, now) for outcome, doc in pairs]
        revisions = self._written(changes)
        for (_, doc), revision in zip(pairs, revisions, strict=True):
            if revision is None:
                self._delete(later.get(doc["_id"], []))
        done = {change["_id"]: revision for change, revision in zip(changes, revisions, strict=True)}
        gone = [change for change in changes if "_deleted" in change and done[change["_id"]]]
        self._forget([(change["_id"], str(done[change["_id"]])) for change in gone])
        self._unmark([doc for _, doc in pairs if any(doc["_id"] == change["_id"] for change in gone)])
        return [doc is not None and done[doc["_id"]] is not None for doc in docs]

    def _postpone(self, pairs: Sequence[tuple[Done | Release, Document]], now: int) -> dict[str, list[Document]]:
        """What is released for later gets a place of its own, before it leaves the old one. By the old documents: how
        the new ones are deleted."""
        later: dict[str, list[Document]] = {}
        for outcome, doc in pairs:
            if isinstance(outcome, Release) and outcome.delay > 0:
                back = documents.released(doc, now, outcome.counted)
                new = documents.postponed(back, outcome.lease.queue, now + int(outcome.delay * SECOND))
                later[doc["_id"]] = self._write_new([each for each in (documents.mark(new), new) if each is not None])
        return later

    def _move(self, move: Move) -> bool:
        doc = self._held.get(move.lease.id)
        if doc is None or doc.get("token") != move.lease.token:
            return False
        if move.into:
            self._check(move.into)
        written = self._store(move.into)
        [done] = self._finish([Done(move.lease)])
        if not done:
            self._delete(written)
        return done

    def _delete(self, docs: list[Document]) -> int:
        """How many of these were there."""
        removed: list[tuple[str, str]] = []
        for request in _requests(docs):
            revisions = self._database.write(request)
            removed += [(doc["_id"], rev) for doc, rev in zip(request, revisions, strict=True) if rev is not None]
        self._forget(removed)
        return len(removed)

    def _forget(self, removed: Sequence[tuple[str, str]]) -> None:
        """Remove their tombstones, where the server can."""
        for start in range(0, len(removed) if self._purges else 0, _PAGE):
            body = {id: [revision] for id, revision in removed[start : start + _PAGE]}
            self._database.ask("POST", "/_purge", body=body)

    def _unmark(self, docs: Sequence[Document]) -> None:
        marks = self._database.find([found["_id"] for doc in docs if (found := documents.mark(doc))], docs=False)
        self._delete([documents.deleted(id, found["_rev"]) for id, found in marks.items()])

    def _remove(self, queue: str, wanted: Callable[[Document], bool]) -> int:
        """Delete what is wanted, also what somebody has changed meanwhile."""
        with self._lock:
            removed = 0
            for _ in range(_ATTEMPTS):
                docs = [doc for doc in self._documents(queue) if wanted(doc)]
                gone = self._delete([documents.deleted(doc["_id"], doc["_rev"]) for doc in docs])
                removed += gone
                if gone == len(docs):
                    break
            return removed

    def _count(self, queue: str) -> Counts:
        """A short queue is read: the view would have to be brought up to date, with the changes of all queues."""
        docs = list(islice(self._documents(queue), _FEW + 1))
        now = self._now()
        return count_few(docs, now) if len(docs) <= _FEW else count(self._database, queue, now)

    def _next_due(self, queue: str) -> int | None:
        """When the first of those that wait is due."""
        start = documents.waiting(queue)
        for doc in self._database.rows({"startkey": start, "endkey": start + END, "limit": 1, "include_docs": True}):
            available = (doc.get("doc") or {}).get("available")
            return available if isinstance(available, int) else None
        return None


def _ended(outcome: Done | Release, doc: Document, now: int) -> Document:
    if isinstance(outcome, Release) and outcome.delay <= 0:
        return documents.released(doc, now, outcome.counted)
    return documents.deleted(doc["_id"], doc["_rev"])


def _lease(queue: str, doc: Document) -> Lease:
    return Lease(queue, doc["_id"], str(doc.get("token", "")))


def _requests(docs: Sequence[Document]) -> Iterator[list[Document]]:
    """As many in one as are not too much for it."""
    request: list[Document] = []
    size = 0
    for doc in docs:
        weight = sum(len(part) for part in (doc.get("body"), doc.get("head")) if isinstance(part, str))
        if request and (len(request) == _MOST_DOCUMENTS or size + weight > _MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(doc)
        size += weight
    if request:
        yield request
