"""CouchDB: what is its own, beside what every transport promises."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kombu import Connection, Queue
from kombu.exceptions import AccessRefused, InvalidURL, NotSupported, OperationalError, PreconditionFailed
from kombu.transport.couchdb import CouchDBStore, SecureTransport
from kombu.transport.couchdb.clock import ServerClock
from kombu.transport.couchdb.documents import is_message, ready
from kombu.transport.virtual.store import Done, Envelope, QueueSpec
from tests import couchdb, servers

QUEUE = "orders"
LEASE = 60.0
ENVELOPE = Envelope('{"text": "ours"}', b"body")

pytestmark = pytest.mark.server("couchdb")


@pytest.fixture
def name() -> Iterator[str]:
    database = f"kombu-{uuid4().hex}"
    yield database
    couchdb.drop(database)


@pytest.fixture
def store(name: str) -> Iterator[CouchDBStore]:
    made = couchdb.new_store(name)
    made.declare(QueueSpec(name=QUEUE))
    yield made
    made.close()


@pytest.fixture
def stranger(name: str, store: CouchDBStore) -> Iterator[httpx.Client]:
    """Another program, in the same database."""
    with httpx.Client(base_url=couchdb.url(name), trust_env=False) as client:
        yield client


def url(database: str) -> str:
    return f"couchdb://{servers.HOST}:{servers.COUCHDB_PORT}/{database}"


FORGED: list[dict[str, Any]] = [
    {},
    {"queue": QUEUE, "head": 7, "body": "not base64!"},
    {"queue": 3, "head": None, "body": None, "priority": "high", "available": "now", "count": [], "expires": "never"},
    {"queue": QUEUE, "head": "no json", "body": ""},
]


@pytest.mark.parametrize("fields", FORGED, ids=["empty", "no body", "other types", "no head"])
def test_a_forged_document_is_delivered_and_can_be_settled(
    name: str, store: CouchDBStore, stranger: httpx.Client, fields: dict[str, Any]
) -> None:
    id = f"{ready(store.known().numbers[QUEUE])}000:forged"
    assert stranger.put(f"/{id}", json=fields).is_success
    with Connection(url(name)) as connection:
        message = Queue(QUEUE)(connection).get()
        assert message is not None
        assert isinstance(message.body, bytes)
        assert message.body == b"" or json.loads(message.body)["_id"] == id
        message.ack()
    assert stranger.get(f"/{id}").status_code == 404


def test_draining_a_full_queue_takes_few_requests(store: CouchDBStore) -> None:
    store.put([(QUEUE, ENVELOPE)] * 200)
    before, taken = couchdb.requests(store), 0
    while found := store.claim({QUEUE: 64}, LEASE):
        assert all(store.settle([Done(each.lease) for each in found]))
        taken += len(found)
    assert taken == 200
    assert (couchdb.requests(store) - before) / taken <= 0.25


def test_what_is_done_is_gone_and_leaves_no_mark_either(store: CouchDBStore, stranger: httpx.Client) -> None:
    store.put([(QUEUE, ENVELOPE._replace(ttl=3600.0)), (QUEUE, ENVELOPE)])
    assert len(left(stranger)) == 3
    found = store.claim({QUEUE: 2}, LEASE)
    assert store.settle([Done(each.lease) for each in found]) == [True, True]
    assert left(stranger) == []


def left(stranger: httpx.Client) -> list[str]:
    """Ids of messages and of their marks."""
    rows = stranger.get("/_all_docs").json()["rows"]
    return [row["id"] for row in rows if is_message(row["id"]) or row["id"].startswith("x:")]


def test_a_long_queue_is_counted_by_the_server(store: CouchDBStore) -> None:
    store.put([(QUEUE, ENVELOPE)] * 120 + [(QUEUE, ENVELOPE._replace(delay=3600.0))] * 3)
    store.claim({QUEUE: 7}, LEASE)
    counts = store.counts([QUEUE])[QUEUE]
    assert (counts.ready, counts.delayed, counts.leased) == (113, 3, 7)
    assert counts.oldest is not None


def test_a_document_that_the_server_finds_too_large_is_refused(name: str) -> None:
    with Connection(url(name)) as connection:
        Queue(QUEUE)(connection).declare()
        with pytest.raises(PreconditionFailed, match="body of 4194305 bytes: transport 'couchdb'"):
            connection.Producer().publish(
                b"x" * ((4 << 20) + 1), routing_key=QUEUE, content_type="application/octet-stream"
            )


def test_the_clock_is_ours_as_long_as_the_server_does_not_contradict() -> None:
    clock = ServerClock()
    now = clock.read()
    clock.learn(date(now), now - 0.1, now + 0.1)
    assert clock.ahead == 0.0
    assert abs(clock.now() / 1e6 - now) < 5


def test_a_clock_that_is_wrong_is_corrected_within_the_servers_second_and_its_bounds_narrow() -> None:
    clock = ServerClock()
    now = float(int(clock.read()))
    clock.learn(date(now + 100.9), now, now)
    assert clock.ahead == 100.0
    clock.learn(date(now + 101.0), now + 0.4, now + 0.4)
    assert 100.5 < clock.ahead <= 101.0
    clock.learn(date(now - 500.0), now, now)  # somebody has set one of them
    assert -500.0 <= clock.ahead < -498.0


def test_a_date_that_nobody_can_read_changes_nothing() -> None:
    clock = ServerClock()
    for wrong in (None, "", "yesterday", "Thu, 99 Nov 2026 99:99:99 GMT"):
        clock.learn(wrong, 0.0, 0.0)
    assert clock.ahead == 0.0


def date(at: float) -> str:
    from email.utils import formatdate

    return formatdate(int(at), usegmt=True)


@pytest.mark.parametrize("database", ["Orders", "1st", "_users", "a b", "x" * 300])
def test_a_name_that_no_database_can_have_is_refused(database: str) -> None:
    with pytest.raises(InvalidURL, match="cannot be a database"):
        Connection(f"couchdb://{servers.HOST}:{servers.COUCHDB_PORT}/{database}").connect()


def test_options_that_mean_nothing_are_refused(name: str) -> None:
    for options in ({"timeout": "soon"}, {"timeout": -1}, {"purge": True}):
        with pytest.raises(InvalidURL, match=next(iter(options))):
            Connection(url(name), transport_options=options).connect()
    with pytest.raises(InvalidURL, match="verify"):
        Connection(url(name), ssl={"verify": False}).connect()
    with pytest.raises(InvalidURL, match="ca_certs"):
        Connection(url(name), ssl={"ca_certs": "/nowhere.pem"}).connect()


def test_tls_is_verified(name: str) -> None:
    """Whoever answers there without a certificate is nobody to talk to."""
    assert SecureTransport.scheme == "https"
    with pytest.raises(OperationalError, match=r"SSL|TLS"):
        Connection(f"couchdbs://{servers.HOST}:{servers.COUCHDB_PORT}/{name}").connect()


def test_what_is_not_kept_is_refused_by_name(name: str) -> None:
    with Connection(url(name)) as connection:
        with pytest.raises(NotSupported, match=r"'couchdb' does not keep the argument 'x-queue-mode'"):
            Queue("a", queue_arguments={"x-queue-mode": "lazy"})(connection).declare()
        with pytest.raises(NotSupported, match=r"x-priority.*'couchdb'"):
            connection.Consumer([Queue("b", consumer_arguments={"x-priority": 1})]).consume()


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    with socket.create_server((servers.HOST, 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OperationalError, match="Does CouchDB run there"):
        Connection(f"couchdb://{servers.HOST}:{port}/").connect()


@pytest.mark.parametrize(
    ("status", "body", "error", "naming"),
    [
        (401, b'{"error":"unauthorized","reason":"Name or password is incorrect."}', AccessRefused, "user 'shop'"),
        (403, b'{"error":"forbidden"}', AccessRefused, "user 'shop'"),
        (200, b"<html>Welcome</html>", OperationalError, "does not answer as CouchDB does"),
        (503, b'{"error":"overloaded"}', OperationalError, "HTTP 503"),
    ],
)
def test_what_a_server_answers_arrives_as_one_of_our_errors(
    status: int, body: bytes, error: type[Exception], naming: str
) -> None:
    with answering(status, body) as port, pytest.raises(error, match=naming) as raised:
        Connection(f"couchdb://shop:secret@{servers.HOST}:{port}/").connect()
    assert "secret" not in str(raised.value)


class answering:
    """A server that always says the same: what pouchdb-server cannot be brought to say."""

    def __init__(self, status: int, body: bytes) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Not on the terminal."""

        self._server = HTTPServer((servers.HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.server_port)

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
