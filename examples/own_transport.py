"""A transport of your own, complete: queues in one SQLite file, for all processes of a machine.

In a program, with this file where Python finds modules: ``Connection("own_transport.Transport:///queues.sqlite3")``.
"""

import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from kombu import Connection
from kombu.exceptions import InvalidURL, OperationalError
from kombu.transport import virtual
from kombu.transport.virtual.document import DocumentTopology
from kombu.transport.virtual.store import Capabilities, Counts, Delivery, Envelope, Lease, Move, Outcome, Release

KEPT = ("x-message-ttl", "x-max-priority", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-delivery-limit")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS topology AS SELECT 0 AS version, '' AS text;
    CREATE TABLE IF NOT EXISTS message (
        id INTEGER PRIMARY KEY, queue TEXT, head TEXT, body BLOB, priority INTEGER, stored REAL, due REAL,
        available REAL, expires REAL, token INTEGER, deliveries INTEGER DEFAULT 0);
    CREATE INDEX IF NOT EXISTS claimable ON message (queue, priority DESC, due, id, available);
    CREATE INDEX IF NOT EXISTS mortal ON message (expires) WHERE expires IS NOT NULL"""
PUT = """INSERT INTO message (queue, head, body, priority, stored, due, available, expires)
    VALUES (:queue, :head, :body, :priority, :now, :now + :delay, :now + :delay, :now + :ttl)"""
TAKE = """UPDATE message SET token = :token, available = :now + :lease, deliveries = deliveries + 1
    WHERE id IN (SELECT id FROM message WHERE available <= :now AND {} LIMIT :limit) RETURNING -priority, due,
    id, queue, token, head, body, priority, deliveries, coalesce(expires <= :now, 0), :now - stored"""
READY, EXPIRED = TAKE.format("queue = :queue ORDER BY priority DESC, due, id"), TAKE.format("expires <= :now")
HELD = "WHERE id = :id AND token = :token RETURNING id"
EXTEND = f"UPDATE message SET available = :now + :seconds {HELD}"
RELEASE = f"""UPDATE message SET token = NULL, deliveries = deliveries - :uncounted, available = :now + :delay,
    due = iif(:delay, :now + :delay, due) {HELD}"""
COUNT = """SELECT count(*) FILTER (WHERE available <= :now) AS ready, count(*) FILTER (WHERE due > :now) AS delayed,
    count(token) FILTER (WHERE available > :now) AS leased,
    :now - min(stored) FILTER (WHERE available <= :now) AS oldest FROM message WHERE queue = :queue"""


class FileStore(DocumentTopology[int]):
    """Every handle on the same file shares its queues. Time is the machine's, so all processes agree on it."""

    capabilities = Capabilities(name="sqlite-file", queue_arguments=frozenset(KEPT))

    def __init__(self, path: str) -> None:
        self._path, self._lock, self._woken = path, threading.RLock(), threading.Event()

    def open(self) -> None:
        with self._errors():
            self._db = sqlite3.connect(self._path, timeout=20, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with self._transaction():
            self.check_topology(version, (queue for queue, _ in items))
            for queue, envelope in items:
                self._run(PUT, queue=queue, **envelope._asdict())

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return [each for queue, limit in wants.items() for each in self._take(READY, limit, lease, queue)]

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        return self._take(EXPIRED, limit, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._transaction():
            return [self._settle(outcome) for outcome in outcomes]

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._transaction():
            return [each if self._run(EXTEND, **each._asdict(), seconds=seconds) else None for each in leases]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        self._woken.wait(min(timeout, 0.02))  # nobody tells of what others put, so look again soon
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        known = self.topology().queues
        return {queue: Counts(**self._run(COUNT, queue=queue)[0]) for queue in queues if queue in known}

    def purge(self, queue: str) -> int:
        free = "DELETE FROM message WHERE queue = :queue AND (token IS NULL OR available <= :now) RETURNING id"
        return len(self._run(free, queue=queue))

    def delete(self, queue: str) -> int:
        with self._transaction():
            self.forget_queue(queue)
            return len(self._run("DELETE FROM message WHERE queue = :queue RETURNING id", queue=queue))

    def read_document(self) -> tuple[str, int]:
        [(text, version)] = self._run("SELECT text, version FROM topology")
        return text, version

    def write_document(self, text: str, version: int, revision: int) -> bool:
        change = "UPDATE topology SET text = :text, version = :version WHERE version = :revision RETURNING version"
        return bool(self._run(change, text=text, version=version, revision=revision))

    def _take(self, which: str, limit: int, lease: float, queue: str = "") -> list[Delivery]:
        """What it takes comes in no order: the first columns have that."""
        taken = self._run(which, limit=limit, lease=lease, queue=queue, token=random.getrandbits(63))
        return [Delivery(Lease(queue, id, token), *rest) for _, _, id, queue, token, *rest in sorted(map(tuple, taken))]

    def _settle(self, outcome: Outcome) -> bool:
        lease = outcome.lease._asdict()
        if isinstance(outcome, Release):
            return bool(self._run(RELEASE, **lease, delay=outcome.delay, uncounted=not outcome.counted))
        gone = bool(self._run(f"DELETE FROM message {HELD}", **lease))
        if gone and isinstance(outcome, Move):
            self.put(outcome.into)
        return gone

    def _run(self, statement: str, **values: object) -> list[sqlite3.Row]:
        with self._transaction():
            return self._db.execute(statement, {"now": time.time(), **values}).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it happens, or nothing. One within another is part of that."""
        with self._errors(), self._lock, ExitStack() as outermost:
            if not self._db.in_transaction:
                outermost.enter_context(self._db).execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OperationalError(f"{self._path}: {error}") from error


class Transport(virtual.Transport):
    """``own_transport.Transport:///file``: three slashes from the working directory, four from the root."""

    def make_store(self) -> FileStore:
        if not self.address.virtual_host:
            raise InvalidURL("which file? name it behind three slashes, as in sqlite-file:///queues.sqlite3")
        return FileStore(self.address.virtual_host)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        connection = Connection(virtual_host=f"{folder}/queues.sqlite3", transport=Transport)
        with connection, connection.SimpleQueue("orders") as orders:
            orders.put({"order": 1})
            message = orders.get(timeout=10)
            print("received", message.payload)
            message.ack()
