"""Claiming: what may be claimed is read, and written again with a token; of several claimers one wins."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence

from kombu.transport.couchdb import documents, rooms, views
from kombu.transport.couchdb.documents import END, Document
from kombu.transport.couchdb.handle import PAGE
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.pausing import is_closed
from kombu.transport.couchdb.settling import CouchDBSettling
from kombu.transport.couchdb.topology import Known
from kombu.transport.virtual.store import Delivery, Lease, MessageId, QueueSpec

_Chosen = list[tuple[str, Document]]
"""Queues' names and messages."""
_ROUNDS = 100


class CouchDBClaims(CouchDBSettling):
    """The gate of a queue comes with its first messages, and tells whether the queue is still there, and not paused."""

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        super().__init__(connect, purge)
        self.stopped: set[str] = set()
        """The numbers of queues that were found paused."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        wanted = {queue: limit for queue, limit in wants.items() if limit > 0}
        with self.lock:
            known = self.known_with(wanted)
            chosen, complete = self._choose(wanted, known)
            if not complete and self.refreshed().numbers_of(wanted) != known.numbers_of(wanted):
                chosen, _ = self._choose(wanted, self.known())  # deleted, and declared again
            return self.take(chosen, lease)

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        with self.lock:
            known = self.known_with(queues)
            specs = [known.topology.queues[queue] for queue in known.numbers_of(queues)]
            limited = [spec for spec in specs if rooms.is_limited(spec)]
            return [each for spec in limited for each in self._trim(spec, known.numbers[spec.name], lease)]

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with self.lock:
            number = self.current().numbers.get(queue)
            if number is None:
                return []
            now = self.handle.now()
            docs = views.stored_since(self.handle.database, number, limit, None if after is None else str(after))
            return [documents.delivery(doc, _lease(queue, doc), now) for doc in docs]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        with self.lock:
            number = self.current().numbers.get(queue)
            if number is None:
                return []
            wanted = [id for id in map(str, ids) if documents.is_message(id) and documents.number_in(id) == number]
            now, found = self.handle.now(), self.handle.database.find(wanted)
            free = [doc for doc in found.values() if "token" not in doc or documents.is_available(doc, now)]
            return self.take([(queue, doc) for doc in free], lease)

    def take(self, chosen: _Chosen, seconds: float) -> list[Delivery]:
        """Claim these, as far as nobody else was faster."""
        if not chosen:
            return []
        token, now = secrets.token_hex(8), self.handle.now()
        docs = [documents.leased(doc, token, now, seconds) for _, doc in chosen]
        deliveries = []
        for (queue, _), doc, revision in zip(chosen, docs, self.handle.write(docs), strict=True):
            if revision is not None:
                doc["_rev"] = revision
                self.held[doc["_id"]] = doc
                deliveries.append(documents.delivery(doc, Lease(queue, doc["_id"], token), now))
        return deliveries

    def _choose(self, wants: Mapping[str, int], known: Known) -> tuple[_Chosen, bool]:
        """What may be claimed first of each queue, and whether all gates were there."""
        chosen: _Chosen = []
        complete = True
        for queue, number in known.numbers_of(wants).items():
            gate, found = self._head(number, wants[queue])
            complete = complete and gate is not None
            if gate is not None and is_closed(gate):
                self.stopped.add(number)
            else:
                self.stopped.discard(number)
                chosen += [(queue, doc) for doc in found]
        return chosen, complete

    def _head(self, number: str, limit: int) -> tuple[Document | None, list[Document]]:
        """The queue's gate, and the first of what is ready, in the order of delivery."""
        now, found = self.handle.now(), list[Document]()
        gate: Document | None = None
        for doc in self._ready(number, limit + 1):
            if doc["_id"] == documents.gate(number):
                gate = doc
            elif documents.is_available(doc, now):
                found.append(doc)
                if len(found) == limit:
                    break
        waited = documents.waiting(number)
        due = self.handle.range(waited, f"{waited}{documents.moment(now)}:{END}", limit)
        found += [doc for doc in due if documents.is_available(doc, now)]
        return gate, sorted(found, key=documents.order)[:limit]

    def _ready(self, number: str, first: int) -> Iterator[Document]:
        return self.handle.range(documents.ready(number), documents.ready(number) + END, first)

    def _trim(self, spec: QueueSpec, number: str, lease: float) -> list[Delivery]:
        """The head is read before what is ready is counted: whatever was claimed in between is not in the count, and
        cannot be taken either. The other way round too much would be."""
        taken: list[Delivery] = []
        head: list[Document] = []
        for _ in range(_ROUNDS):
            ready = views.ready(self.handle.database, number, self.handle.now())
            if rooms.fits(spec, ready):
                break
            beyond = rooms.beyond(spec, ready, head)
            won = self.take([(spec.name, doc) for doc in beyond], lease)
            taken += won
            if beyond and len(won) == len(beyond) < len(head):
                break
            _, head = self._head(number, min(rooms.too_many(spec, ready) + 1, PAGE))
            if not head:
                break
        return taken


def _lease(queue: str, doc: Document) -> Lease:
    return Lease(queue, doc["_id"], str(doc.get("token", "")))
