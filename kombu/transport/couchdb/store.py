"""A handle on the queues of one database: what it can keep, waiting, counting, and keeping house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from kombu.transport.couchdb import documents, views
from kombu.transport.couchdb.claims import CouchDBClaims
from kombu.transport.couchdb.documents import END, SECOND
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.rests import Rests
from kombu.transport.virtual.store import Capabilities, Counts, Delivery

CAPABILITIES = Capabilities(
    name="couchdb",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            "x-overflow",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
            "x-single-active-consumer",
        }
    ),
    max_batch=100,
    max_body=4 << 20,
    atomic_put=False,
)

_FEW = 100


class CouchDBStore(CouchDBClaims):
    """A message is a document, and a claim is a new revision of it, which exactly one client can write. ``connect``
    gives connections to the database."""

    capabilities = CAPABILITIES

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        super().__init__(connect, purge)
        self._rests = Rests()

    def open(self) -> None:
        """Connect, and make the database where there is none."""
        self.handle.open()

    def close(self) -> None:
        self.handle.changes.close()
        with self.lock:
            self.handle.database.close()

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        numbers = set(self.known_with(queues).numbers_of(queues).values())
        for due in map(self._next_due, numbers - self.stopped):
            if due is not None:
                timeout = min(timeout, max(due - self.handle.now(), 0) / SECOND)
        self.handle.changes.wait(numbers, timeout)

    def wake(self) -> None:
        self.handle.changes.tell()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self.lock:
            return {queue: self._count(number) for queue, number in self.current().numbers_of(queues).items()}

    def purge(self, queue: str) -> int:
        number = self.current().numbers.get(queue)
        if number is None:
            return 0
        now = self.handle.now()
        return self.remove(number, lambda doc: "token" not in doc or documents.is_available(doc, now))

    def delete(self, queue: str) -> int:
        return sum(self.remove_rest(number) for number in self.forget_queues({queue: None}).values())

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with self.lock:
            self._rests.look(self)
            now, database = self.handle.now(), self.handle.database
            marks = database.rows({"startkey": "x:", "endkey": f"x:{documents.moment(now)}:{END}", "limit": limit})
            found = database.find([id for each in marks if (id := documents.marked(each["id"]))])
            gone = [each for each in marks if documents.marked(each["id"]) not in found]
            self.handle.delete([documents.deleted(each["id"], each["value"]["rev"]) for each in gone])
            claimable = [doc for doc in found.values() if documents.is_available(doc, now)]
            names = self.current().names if claimable else {}
            numbered = [(names.get(documents.number_in(doc["_id"])), doc) for doc in claimable]
            return self.take([(name, doc) for name, doc in numbered if name is not None], lease)

    def _count(self, number: str) -> Counts:
        """A short queue is read: the view would have to be brought up to date, with the changes of all queues."""
        docs = list(islice(self.messages(number), _FEW + 1))
        now = self.handle.now()
        return views.count_few(docs, now) if len(docs) <= _FEW else views.count(self.handle.database, number, now)

    def _next_due(self, number: str) -> int | None:
        """When the first of those that wait is due."""
        start = documents.waiting(number)
        params = {"startkey": start, "endkey": start + END, "limit": 1, "include_docs": True}
        for row in self.handle.database.rows(params):
            available = (row.get("doc") or {}).get("available")
            return available if isinstance(available, int) else None
        return None
