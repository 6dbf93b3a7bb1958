"""A transport of your own, complete: queues in one SQLite file, for all processes of a machine.

``python examples/own_transport.py`` publishes a few messages and consumes them. In a program, with this file where
Python finds modules: ``Connection("own_transport.Transport:///queues.sqlite3")``.
"""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import InvalidURL, OperationalError
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import store as seam
from kombu.transport.virtual.store import Counts, Delivery, Done, Envelope, Lease, Move, QueueSpec, Release
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology

KEPT = ("x-message-ttl", "x-max-priority", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-delivery-limit")
SCHEMA = """
CREATE TABLE IF NOT EXISTS topology (id INTEGER PRIMARY KEY CHECK (id = 1), declared TEXT);
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, head TEXT, body BLOB, priority INTEGER, stored REAL, due REAL,
    available REAL, expires REAL, token INTEGER, deliveries INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS claimable ON message (queue, priority DESC, available, id);
CREATE INDEX IF NOT EXISTS mortal ON message (expires) WHERE expires IS NOT NULL;
"""
PUT = """INSERT INTO message (queue, head, body, priority, stored, due, available, expires)
VALUES (:queue, :head, :body, :priority, :now, :now + :delay, :now + :delay, :now + :ttl)"""
SEE = """SELECT id, queue, head, body, priority, deliveries + 1, coalesce(expires <= :now, 0), :now - stored
FROM message WHERE available <= :now AND """
FIRST = SEE + "queue = :queue ORDER BY priority DESC, available, id LIMIT :limit"
EXPIRED = SEE + "expires <= :now LIMIT :limit"
TAKE = "UPDATE message SET token = :token, available = :now + :lease, deliveries = deliveries + 1 WHERE id = :id"
HELD = "WHERE id = :id AND token = :token"
DONE = f"DELETE FROM message {HELD}"
EXTEND = f"UPDATE message SET available = :now + :seconds {HELD}"
RELEASE = f"""UPDATE message SET token = NULL, deliveries = deliveries - :uncounted,
due = iif(:delay > 0, :now + :delay, due), available = iif(:delay > 0, :now + :delay, due) {HELD}"""
READY, LEASED = "available <= :now", "(available > :now AND token IS NOT NULL)"
COUNTS = f"""SELECT count(*) FILTER (WHERE {READY}), count(*) FILTER (WHERE available > :now AND token IS NULL),
count(*) FILTER (WHERE {LEASED}), :now - min(stored) FILTER (WHERE {READY}) FROM message WHERE queue = :queue"""
DELETE = "DELETE FROM message WHERE queue = :queue"
LOOK_EVERY = 0.01
"""Seconds between looks for new messages."""


class FileStore:
    """Every handle on the same file shares its queues. Time is the machine's, so all processes agree on it."""

    capabilities = seam.Capabilities(name="sqlite-file", queue_arguments=frozenset(KEPT))

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._woken = threading.Event()

    def open(self) -> None:
        try:
            self._db = sqlite3.connect(self._path, timeout=20, isolation_level=None, check_same_thread=False)
            self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise OperationalError(f"{self._path}: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with self._transaction():
            if version not in (None, self._declared()["version"]):
                raise seam.TopologyMoved
            self._put(items)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self._transaction():
            return [each for queue, limit in wants.items() for each in self._claim(FIRST, limit, lease, queue)]

    def settle(self, outcomes: Sequence[seam.Outcome]) -> list[bool]:
        with self._transaction():
            return [self._settle(outcome) for outcome in outcomes]

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._transaction():
            return [lease if self._held(EXTEND, lease, seconds=seconds) else None for lease in leases]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not any(counts.ready for counts in self.counts(queues).values()):
            left = deadline - time.monotonic()
            if left <= 0 or self._woken.wait(min(left, LOOK_EVERY)):
                break
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self._transaction("DEFERRED"):
            known = [queue for queue in queues if queue in self._declared()["queues"]]
            found = {queue: self._run(COUNTS, queue=queue).fetchone() for queue in known}
        return {queue: Counts(ready=r, delayed=d, leased=held, oldest=o) for queue, (r, d, held, o) in found.items()}

    def purge(self, queue: str) -> int:
        with self._transaction():
            return self._run(f"{DELETE} AND NOT {LEASED}", queue=queue).rowcount

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        with self._transaction():
            return self._claim(EXPIRED, limit, lease)

    def topology(self) -> Topology:
        with self._transaction("DEFERRED"):
            declared = self._declared()
        return Topology(
            version=declared["version"],
            exchanges={name: ExchangeSpec(**spec) for name, spec in declared["exchanges"].items()},
            queues={name: QueueSpec(**spec) for name, spec in declared["queues"].items()},
            bindings=tuple(BindingSpec(**spec) for spec in declared["bindings"].values()),
        )

    def declare(self, queue: QueueSpec) -> None:
        with self._declaring() as declared:
            declared["queues"].setdefault(queue.name, asdict(queue))

    def delete(self, queue: str) -> int:
        with self._declaring() as declared:
            declared["queues"].pop(queue, None)
            _drop_bindings(declared, lambda each: not each["to_exchange"] and each["destination"] == queue)
            return self._run(DELETE, queue=queue).rowcount

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        with self._declaring() as declared:
            declared["exchanges"].setdefault(exchange.name, asdict(exchange))

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        with self._declaring() as declared:
            if if_unused and any(each["source"] == name for each in declared["bindings"].values()):
                return False
            _drop_bindings(declared, lambda each: name in (each["source"], each["to_exchange"] and each["destination"]))
            return declared["exchanges"].pop(name, None) is not None

    def bind(self, binding: BindingSpec) -> None:
        with self._declaring() as declared:
            declared["bindings"].setdefault(_key(binding), asdict(binding))

    def unbind(self, binding: BindingSpec) -> None:
        with self._declaring() as declared:
            declared["bindings"].pop(_key(binding), None)

    @contextmanager
    def _transaction(self, mode: str = "IMMEDIATE") -> Iterator[None]:
        """All of it happens, or nothing."""
        try:
            with self._lock, self._db:
                self._db.execute(f"BEGIN {mode}")
                yield
        except sqlite3.Error as error:
            raise OperationalError(f"{self._path}: {error}") from error

    def _run(self, statement: str, **values: object) -> sqlite3.Cursor:
        return self._db.execute(statement, {"now": time.time(), **values})

    def _put(self, items: Sequence[tuple[str, Envelope]]) -> None:
        if {queue for queue, _ in items} - self._declared()["queues"].keys():
            raise seam.TopologyMoved
        for queue, envelope in items:
            self._run(PUT, queue=queue, **envelope._asdict())

    def _claim(self, statement: str, limit: int, lease: float, queue: str = "") -> list[Delivery]:
        token, found = random.getrandbits(63), self._run(statement, limit=limit, queue=queue).fetchall()
        for row in found:
            self._run(TAKE, token=token, lease=lease, id=row[0])
        return [Delivery(Lease(row[1], row[0], token), *row[2:]) for row in found]

    def _settle(self, outcome: seam.Outcome) -> bool:
        match outcome:
            case Done(lease):
                return self._held(DONE, lease)
            case Release(lease, delay, counted):
                return self._held(RELEASE, lease, delay=delay, uncounted=not counted)
            case Move(lease, into):
                gone = self._held(DONE, lease)
                self._put(into if gone else ())
                return gone

    def _held(self, change: str, lease: Lease, **values: object) -> bool:
        """Change a message, if this lease is still good for it."""
        return self._run(change, id=lease.id, token=lease.token, **values).rowcount == 1

    def _declared(self) -> dict[str, Any]:
        row = self._run("SELECT declared FROM topology").fetchone()
        return json.loads(row[0]) if row else {"version": 0, "exchanges": {}, "queues": {}, "bindings": {}}

    @contextmanager
    def _declaring(self) -> Iterator[dict[str, Any]]:
        """What is declared, to be changed; a change gives it a version that it never had."""
        with self._transaction():
            declared = self._declared()
            before = json.dumps(declared)
            yield declared
            if json.dumps(declared) != before:
                declared["version"] = random.getrandbits(63)
                self._run("INSERT OR REPLACE INTO topology VALUES (1, :declared)", declared=json.dumps(declared))


class Transport(VirtualTransport):
    """``own_transport.Transport:///file``: three slashes from the working directory, four from the root."""

    driver_type = "sql"
    driver_name = "sqlite-file"

    def make_store(self) -> FileStore:
        if not self.address.virtual_host:
            raise InvalidURL("which file? name it behind three slashes, as in sqlite-file:///queues.sqlite3")
        return FileStore(self.address.virtual_host)

    def driver_version(self) -> str:
        return sqlite3.sqlite_version


def _key(binding: BindingSpec) -> str:
    return json.dumps(asdict(binding), sort_keys=True)


def _drop_bindings(declared: dict[str, Any], unwanted: Callable[[dict[str, Any]], bool]) -> None:
    declared["bindings"] = {key: each for key, each in declared["bindings"].items() if not unwanted(each)}


def main(path: str) -> None:
    """Publish three orders, and consume them through another connection."""
    orders = Queue("orders", Exchange("shop", "topic"), "order.#")
    with Connection(virtual_host=path, transport=Transport) as connection:
        producer = connection.Producer(exchange=orders.exchange, routing_key="order.created")
        for number in (1, 2, 3):
            producer.publish({"order": number}, declare=[orders])

    def handle(body: dict[str, int], message: Message) -> None:
        print("received", body)
        message.ack()

    with Connection(virtual_host=path, transport=Transport) as connection:
        connection.Consumer(orders, callbacks=[handle]).consume()
        for _ in range(3):
            connection.drain_events(timeout=10)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(f"{folder}/queues.sqlite3")
