"""CouchDB: what becomes of a queue's own documents when others are faster, or have crashed half-way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from kombu.retry import RetryPolicy
from kombu.transport.couchdb import CouchDBStore, documents, limits, people, rooms
from kombu.transport.couchdb.rests import remove_rests
from kombu.transport.virtual.store import Done, Envelope, QueueFull, QueueSpec, Release, TopologyMoved, User
from tests import couchdb

QUEUE = "orders"
LEASE = 60.0
ENVELOPE = Envelope('{"text": "ours"}', b"body")
CONSUMER = User(QUEUE, "a")
TEN_MINUTES = 600.0

pytestmark = [pytest.mark.server("couchdb"), pytest.mark.once]


@pytest.fixture
def name() -> Iterator[str]:
    database = f"kombu-{uuid4().hex}"
    yield database
    couchdb.drop(database)


@pytest.fixture
def store(name: str) -> Iterator[CouchDBStore]:
    made = couchdb.new_store(name)
    yield made
    made.close()


@pytest.fixture
def other(name: str, store: CouchDBStore) -> Iterator[CouchDBStore]:
    """As another process has one."""
    made = couchdb.new_store(name)
    yield made
    made.close()


@pytest.fixture
def stranger(name: str, store: CouchDBStore) -> Iterator[httpx.Client]:
    """Another program, in the same database."""
    with httpx.Client(base_url=couchdb.url(name), trust_env=False) as client:
        yield client


def declare(store: CouchDBStore, **arguments: object) -> str:
    """The queue's number."""
    store.declare(QueueSpec(name=QUEUE, arguments={name.replace("_", "-"): value for name, value in arguments.items()}))
    return store.known().numbers[QUEUE]


def documents_of(stranger: httpx.Client, number: str) -> list[str]:
    rows = stranger.get("/_all_docs").json()["rows"]
    return [row["id"] for row in rows if documents.number_in(row["id"]) == number]


def test_looking_at_the_gate_is_no_request_of_its_own(store: CouchDBStore) -> None:
    declare(store)
    store.put([(QUEUE, ENVELOPE)])
    before = couchdb.requests(store)
    assert len(store.claim({QUEUE: 64}, LEASE)) == 1
    assert couchdb.requests(store) - before == 3


def test_a_queue_that_another_has_deleted_and_declared_is_the_new_one(store: CouchDBStore, other: CouchDBStore) -> None:
    declare(store)
    store.put([(QUEUE, ENVELOPE), (QUEUE, ENVELOPE)])
    assert other.delete(QUEUE) == 2
    declare(other)
    other.put([(QUEUE, ENVELOPE._replace(body=b"new"))])
    assert [each.body for each in store.claim({QUEUE: 10}, LEASE)] == [b"new"]
    assert store.attend([CONSUMER], LEASE) == [True]
    assert other.attending([QUEUE]) == {QUEUE: [CONSUMER]}


def test_a_message_that_was_stored_while_its_queue_was_deleted_is_not_in_the_next_one(
    store: CouchDBStore, other: CouchDBStore, stranger: httpx.Client
) -> None:
    number = declare(store)
    late = store.known()
    other.delete(QUEUE)
    declare(other)
    store.store([(QUEUE, ENVELOPE)], late)
    assert other.claim({QUEUE: 10}, LEASE) == []
    assert other.counts([QUEUE])[QUEUE].total == 0
    assert remove_rests(other, TEN_MINUTES) == {number}
    assert documents_of(stranger, number) == []


def test_what_a_crash_leaves_of_a_deleted_queue_is_swept_up(store: CouchDBStore, stranger: httpx.Client) -> None:
    gone = declare(store)
    store.put([(QUEUE, ENVELOPE), (QUEUE, ENVELOPE._replace(delay=LEASE))])
    store.forget_queues({QUEUE: None})
    stays = declare(store)
    store.put([(QUEUE, ENVELOPE)])
    assert remove_rests(store, 0.0) == {gone}
    assert documents_of(stranger, gone) == []
    assert len(documents_of(stranger, stays)) == 3


def test_neither_a_queue_that_is_being_declared_nor_what_others_write_is_swept_up(
    store: CouchDBStore, stranger: httpx.Client
) -> None:
    number = documents.new_number()
    store.handle.write_new([people.nobody(number, QueueSpec(name=QUEUE), store.handle.now())])
    assert stranger.put("/r:notes:1", json={"text": "buy milk"}).is_success
    assert remove_rests(store, TEN_MINUTES) == set()
    assert documents_of(stranger, number) != []
    assert documents_of(stranger, "notes") != []


def test_an_end_that_a_crash_interrupted_is_carried_out_by_the_next_one(
    store: CouchDBStore, other: CouchDBStore
) -> None:
    number = declare(store, x_expires=3_600_000)
    users = store.handle.database.find([people.id_of(number)])
    assert None not in store.handle.write([people.ended(doc) for doc in users.values()])
    assert store.attend([CONSUMER], LEASE) == [False]
    assert other.expire_queues() == [QUEUE]
    assert store.expire_queues() == []


def test_room_that_a_crashed_publisher_has_reserved_is_not_given_to_others_until_it_lapses(
    store: CouchDBStore, other: CouchDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_PATIENCE", RetryPolicy(max_retries=1, interval_start=0.0))
    declare(store, x_max_length=2, x_overflow="reject-publish")
    with pytest.raises(BrokenPipeError), store.room_for([(QUEUE, ENVELOPE)], store.known()) as waited:
        assert waited
        monkeypatch.setattr(store, "_give_back", lambda doc: None)
        raise BrokenPipeError
    other.put([(QUEUE, ENVELOPE)])
    with pytest.raises(QueueFull):
        other.put([(QUEUE, ENVELOPE)])
    [left] = [doc for doc in store.handle.range("p:", "p:~") if doc["length"]]
    assert store.handle.write([{**left, "until": store.handle.now() - 1}]) != [None]
    other.put([(QUEUE, ENVELOPE)])
    assert other.counts([QUEUE])[QUEUE].ready == 2


def test_nothing_stays_reserved_whatever_becomes_of_a_batch(store: CouchDBStore, other: CouchDBStore) -> None:
    declare(store, x_max_length=3, x_overflow="reject-publish")
    store.put([(QUEUE, ENVELOPE)] * 2)
    with pytest.raises(QueueFull):
        store.put([(QUEUE, ENVELOPE)] * 2)
    with pytest.raises(TopologyMoved), store.room_for([(QUEUE, ENVELOPE)], store.known()):
        raise TopologyMoved
    [doc] = other.handle.range("p:", "p:~")
    assert (doc["length"], doc["size"]) == (0, 0)


def test_a_document_to_reserve_room_with_is_used_again_and_swept_up_when_it_is_not(store: CouchDBStore) -> None:
    declare(store, x_max_length=3, x_overflow="reject-publish")
    for _ in range(2):
        store.put([(QUEUE, ENVELOPE)])
    assert len(list(store.handle.range("p:", "p:~"))) == 1
    assert remove_rests(store, TEN_MINUTES) == set()
    assert len(list(store.handle.range("p:", "p:~"))) == 1
    assert remove_rests(store, 0.0) == set()
    assert list(store.handle.range("p:", "p:~")) == []
    store.put([(QUEUE, ENVELOPE)])


def test_a_queue_that_refuses_is_full_as_long_as_it_is_and_not_longer(store: CouchDBStore) -> None:
    declare(store, x_max_length=1, x_overflow="reject-publish")
    store.put([(QUEUE, ENVELOPE)])
    [held] = store.claim({QUEUE: 1}, LEASE)
    store.put([(QUEUE, ENVELOPE)])
    assert store.settle([Release(held.lease)]) == [True]  # what comes back is never refused
    for _ in range(2):
        with pytest.raises(QueueFull):
            store.put([(QUEUE, ENVELOPE)])
        assert store.settle([Done(each.lease) for each in store.claim({QUEUE: 1}, LEASE)]) == [True]
    store.put([(QUEUE, ENVELOPE)])


def test_publishing_to_a_queue_that_refuses_takes_seven_requests_and_to_others_two(store: CouchDBStore) -> None:
    declare(store, x_max_length=100, x_overflow="reject-publish")
    store.declare(QueueSpec(name="others"))
    store.put([(QUEUE, ENVELOPE)])  # which makes the view
    for queue, requests in ((QUEUE, 7), ("others", 2)):
        before = couchdb.requests(store)
        store.put([(queue, ENVELOPE)] * 50)
        assert couchdb.requests(store) - before == requests


@pytest.mark.parametrize(
    ("reserved", "left"),
    [([], rooms.Room()), ([(1, 10, 5)], rooms.Room()), ([(1, 10, 50), (2, 7, 60), (4, 4, 5)], rooms.Room(3, 17))],
)
def test_what_lapsed_is_not_reserved(reserved: list[tuple[int, int, int]], left: rooms.Room) -> None:
    docs: list[dict[str, Any]] = [{"length": length, "size": size, "until": until} for length, size, until in reserved]
    assert rooms.total(docs, now=10) == left


def test_a_limited_queue_that_is_not_full_costs_one_request_more(store: CouchDBStore) -> None:
    declare(store, x_max_length=100)
    store.put([(QUEUE, ENVELOPE)] * 100)
    assert store.surplus([QUEUE], LEASE) == []  # which makes the view
    before = couchdb.requests(store)
    assert store.surplus([QUEUE], LEASE) == []
    assert couchdb.requests(store) - before == 1


def test_what_is_too_much_may_be_more_than_a_page(store: CouchDBStore) -> None:
    declare(store, x_max_length=10)
    for _ in range(3):
        store.put([(QUEUE, ENVELOPE)] * 80)
    assert len(store.surplus([QUEUE], LEASE)) == 230
    assert store.counts([QUEUE])[QUEUE].ready == 10


def test_a_paused_queue_is_kept_to_its_limits(store: CouchDBStore) -> None:
    declare(store, x_max_length=1)
    store.pause(QUEUE)
    store.put([(QUEUE, ENVELOPE)] * 3)
    assert store.claim({QUEUE: 10}, LEASE) == []
    assert len(store.surplus([QUEUE], LEASE)) == 2


def test_nobody_is_woken_for_what_is_due_in_a_paused_queue(store: CouchDBStore) -> None:
    declare(store)
    store.put([(QUEUE, ENVELOPE._replace(delay=0.001))])
    store.pause(QUEUE)
    assert store.claim({QUEUE: 10}, LEASE) == []
    before = couchdb.requests(store)
    store.wait([QUEUE], 0.0)
    assert couchdb.requests(store) == before


def test_who_waits_is_told_that_a_queue_is_no_longer_paused(store: CouchDBStore, other: CouchDBStore) -> None:
    declare(store)
    store.put([(QUEUE, ENVELOPE)])
    store.pause(QUEUE)
    other.wait([QUEUE], LEASE)  # the first time it returns at once, and listens from then on
    claimed: list[Any] = []

    def consume() -> None:
        while not claimed:
            claimed.extend(other.claim({QUEUE: 10}, LEASE))
            if not claimed:
                other.wait([QUEUE], 2 * LEASE)

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    store.pause(QUEUE, False)
    consumer.join(LEASE)
    assert [each.body for each in claimed] == [b"body"]
