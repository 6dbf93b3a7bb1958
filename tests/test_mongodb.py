"""What is MongoDB's own: how many requests it takes, what they ask for, and what others put into its collections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import InconsistencyError, PreconditionFailed
from kombu.testing.case import LEASE, bodies, in_threads, message, numbered
from kombu.transport.virtual.store import Done, Envelope, Lease, QueueSpec
from tests import mongodb, servers
from tests.mongodb import Requests
from tests.proxy import Proxy

if TYPE_CHECKING:
    from kombu.transport.mongodb import MongoStore

pytestmark = pytest.mark.server("mongodb")
PATIENCE = 30.0


@pytest.fixture
def database() -> Iterator[str]:
    with mongodb.database() as name:
        yield name


@pytest.fixture
def requests() -> Requests:
    return mongodb.new_requests()


@pytest.fixture
def store(database: str, requests: Requests) -> Iterator[MongoStore]:
    """Its requests are counted; a queue is declared."""
    store = mongodb.new_store(database, event_listeners=[requests])
    with closing(store):
        store.open()
        store.declare(QueueSpec(name="orders"))
        requests.clear()
        yield store


def connect(database: str, **options: object) -> Connection:
    return Connection(mongodb.url(database), transport_options=options)


def test_a_full_queue_is_drained_with_a_quarter_of_a_request_for_each_message(
    database: str, requests: Requests
) -> None:
    count = 300
    orders = Queue("orders")
    with connect(database) as connection:
        orders(connection).declare()
        connection.Producer(routing_key="orders").publish_many(range(count))
    received: list[Any] = []
    with connect(database, event_listeners=[requests]) as connection:
        with connection.Consumer(orders, on_message=lambda message: (received.append(message.payload), message.ack())):
            requests.clear()
            while len(received) < count:
                connection.drain_events(timeout=PATIENCE)
        connection.close()
    assert received == list(range(count))
    assert requests.settled("delete") == count
    assert requests.total <= 0.25 * count


def test_a_message_is_published_with_one_request_and_a_batch_with_two(store: MongoStore, requests: Requests) -> None:
    version = store.topology().version
    requests.clear()
    store.put([("orders", message("a"))], version)
    assert requests.names == ["update"]
    requests.clear()
    store.put([("orders", message(text)) for text in numbered(100)], version)
    assert requests.names == ["update", "commitTransaction"]


def test_a_claim_is_two_requests_for_however_many_queues_and_so_is_settling(
    store: MongoStore, requests: Requests
) -> None:
    queues = [f"queue {number}" for number in range(10)]
    for queue in queues:
        store.declare(QueueSpec(name=queue))
    store.put([(queue, message(queue)) for queue in queues])
    requests.clear()
    claimed = store.claim(dict.fromkeys(queues, 5), LEASE)
    assert sorted(bodies(claimed)) == sorted(queues)
    assert requests.names == ["aggregate", "update"]
    requests.clear()
    assert all(store.settle([Done(delivery.lease) for delivery in claimed]))
    assert requests.names == ["find", "delete"]
    requests.clear()
    assert store.claim(dict.fromkeys(queues, 5), LEASE) == []
    assert requests.names == ["aggregate"]


def test_more_queues_than_one_request_asks_for_are_claimed_from_together(store: MongoStore) -> None:
    queues = [f"queue {number}" for number in range(60)]
    for queue in queues:
        store.declare(QueueSpec(name=queue))
    store.put([(queue, message(queue)) for queue in queues])
    assert bodies(store.claim(dict.fromkeys(queues, 1), LEASE)) == queues


def test_whatever_is_stored_is_confirmed_by_the_majority(store: MongoStore, requests: Requests) -> None:
    store.put([("orders", message("a"))])
    store.put([("orders", message("b")), ("orders", message("c"))])
    for delivery in store.claim({"orders": 3}, LEASE):
        store.settle([Done(delivery.lease)])
    writes = [command for command in requests.commands if command.get("autocommit") is not False]
    writes += [command for command in requests.commands if "commitTransaction" in command]
    concerns = [command["writeConcern"]["w"] for command in writes if {"update", "delete"} & command.keys()]
    assert concerns == ["majority"] * len(concerns) != []


def test_the_url_may_ask_for_another_write_concern(database: str, requests: Requests) -> None:
    with Connection(
        mongodb.url(database, query="&w=1"), transport_options={"event_listeners": [requests]}
    ) as connection:
        Queue("orders")(connection).declare()
        connection.Producer(routing_key="orders").publish(1)
    assert {command["writeConcern"]["w"] for command in requests.commands if "writeConcern" in command} == {1}


def test_two_databases_and_two_prefixes_have_queues_of_their_own(database: str) -> None:
    with mongodb.database() as other_database:
        places = [connect(database), connect(other_database), connect(database, collection_prefix="other_")]
        for number, place in enumerate(places):
            with place as connection:
                Queue("orders")(connection).declare()
                connection.Producer(routing_key="orders").publish(number)
        for number, place in enumerate(places):
            with place as connection:
                found = Queue("orders")(connection).get(no_ack=True)
                assert found is not None
                assert found.payload == number
                assert Queue("orders")(connection).get() is None


def test_a_waiting_consumer_is_told_by_a_change_stream(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With polls that would come far too late."""
    from kombu.transport.mongodb import waiting

    monkeypatch.setattr(waiting, "POLL_BESIDE_A_STREAM", 10 * PATIENCE)
    monkeypatch.setattr(waiting, "SHORTEST_POLL", 10 * PATIENCE)
    watch = store._watch
    assert watch is not None
    ids = {store.known().ids["orders"]}
    opened = threading.Event()

    def wait() -> None:
        store.wait(["orders"], PATIENCE)  # ends when the stream is open
        assert watch.covers(ids)
        opened.set()
        store.wait(["orders"], 10 * PATIENCE)

    def put() -> None:
        assert opened.wait(PATIENCE)
        store.put([("orders", message("a"))])

    in_threads([wait, put], PATIENCE)


def test_without_a_change_stream_consumers_look_at_their_queues(database: str) -> None:
    with connect(database, change_streams=False) as connection, connect(database) as publisher:
        orders = Queue("orders")(publisher)
        orders.declare()
        received: list[object] = []
        with connection.Consumer(Queue("orders"), on_message=received.append):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.2)
            publisher.Producer(routing_key="orders").publish(1)
            connection.drain_events(timeout=PATIENCE)
        assert len(received) == 1


@pytest.mark.parametrize(("count", "words"), [(1, b"\x02update\0"), (3, b"\x02update\0"), (3, b"committransaction\0")])
def test_what_is_stored_while_its_answer_is_lost_is_confirmed_and_stored_once(
    database: str, count: int, words: bytes
) -> None:
    with Proxy(servers.MONGODB_PORT) as proxy, closing(mongodb.new_store(database, proxy.port)) as store:
        store.open()
        store.declare(QueueSpec(name="orders"))
        store.put([("orders", message("before"))])
        proxy.cut_at(words, "after")
        store.put([("orders", message(text)) for text in numbered(count)])
        assert proxy.struck.is_set()
        assert bodies(store.claim({"orders": 10}, LEASE)) == ["before", *numbered(count)]


FOREIGN: list[dict[str, Any]] = [
    {},
    {"available_at": None, "body": "text"},
    {"available_at": 5, "head": 7, "body": {"a": 1}, "deliveries": "many", "changes": "some", "priority": "high"},
    {"available_at": False, "head": "no json", "body": b"\xff\xfe", "stored_at": "yesterday", "size": "large"},
]


@pytest.mark.parametrize("document", FOREIGN)
def test_what_others_have_put_into_a_queue_is_handed_on_raw(database: str, document: dict[str, Any]) -> None:
    with connect(database) as connection:
        Queue("orders")(connection).declare()
        with mongodb.client() as client:
            messages = client[database]["kombu_messages"]
            [queue] = client[database]["kombu_queues"].find({"name": "orders"})
            messages.insert_one({"queue": queue["_id"], "payload": "größe", **document})
            messages.insert_one({"something": "else"})
        connection.Producer(routing_key="orders").publish("ours")
        received: dict[str, object] = {}
        with connection.Consumer(Queue("orders"), accept=["json"], on_message=lambda m: received.update({m.body: m})):
            while len(received) < 2:
                connection.drain_events(timeout=PATIENCE)
            for each in received.values():
                each.ack()  # type: ignore[attr-defined]
    with mongodb.client() as client:
        assert client[database]["kombu_messages"].count_documents({"queue": queue["_id"]}) == 0
    [foreign] = [body for body in received if body != b"ours"]
    assert foreign == {str: b"text", bytes: b"\xff\xfe"}.get(type(document.get("body")), foreign)


def test_a_topology_that_is_damaged_is_neither_used_nor_replaced(database: str) -> None:
    with connect(database) as connection:
        Queue("orders")(connection).declare()
    with mongodb.client() as client:
        client[database]["kombu_messages"].update_one({"_id": "kombu.topology"}, {"$set": {"queues": "none"}})
    with (
        pytest.raises(InconsistencyError, match=r"kombu\.topology.*kombu_messages.*restore it"),
        connect(database) as c,
    ):
        Queue("more")(c).declare()


def test_a_collection_whose_index_is_somebody_elses_is_refused(database: str) -> None:
    with mongodb.client() as client:
        client[database]["kombu_messages"].create_index([("name", 1)], name="kombu_claim")
    with pytest.raises(PreconditionFailed, match="collection_prefix"):
        connect(database).connect()


def test_a_collection_that_is_dropped_under_everybody_begins_anew(database: str) -> None:
    shop = Exchange("shop", "topic")
    with connect(database) as connection:
        producer = connection.Producer(exchange=shop)
        orders = Queue("orders", shop, routing_key="#")
        orders(connection).declare()
        producer.publish(1, routing_key="a")
        mongodb.drop(database)
        with connect(database) as other:
            orders(other).declare()
            other.Producer(exchange=shop).publish(2, routing_key="a")
            found = orders(other).get(no_ack=True)
            assert found is not None
            assert found.payload == 2


def test_what_a_crash_has_left_of_deleted_queues_is_swept_up(store: MongoStore, database: str) -> None:
    store.put([("orders", message("stays"))])
    with mongodb.client() as client:
        messages, queues = client[database]["kombu_messages"], client[database]["kombu_queues"]
        [orders] = queues.find()
        messages.insert_many([{"queue": 7}, {"queue": 7}])
        queues.insert_many([{"_id": 8, "declared_at": orders["declared_at"]}, {"_id": 9}])
        store._rests_at = 0.0
        assert store.sweep(10, LEASE) == []
        assert messages.count_documents({"queue": 7}) == 0
        assert {each["_id"] for each in queues.find()} == {orders["_id"], 8}, "what is new may be about to be declared"
    assert bodies(store.claim({"orders": 5}, LEASE)) == ["stays"]


def test_a_message_of_fifteen_mebibytes_is_kept_and_a_larger_one_refused_before_it_is_sent(
    database: str, requests: Requests
) -> None:
    size = 15 << 20
    with connect(database, event_listeners=[requests]) as connection:
        Queue("orders")(connection).declare()
        producer = connection.Producer(routing_key="orders")
        producer.publish(b"x" * size, content_type="application/octet-stream", content_encoding="binary")
        requests.clear()
        with pytest.raises(PreconditionFailed, match=f"transport 'mongodb' keeps {size} bytes at most"):
            producer.publish(b"x" * (size + 1), content_type="application/octet-stream", content_encoding="binary")
        with pytest.raises(PreconditionFailed, match=r"with its headers.*transport 'mongodb' keeps"):
            producer.publish(b"x" * size, headers={"long": "y" * (1 << 20)}, content_encoding="binary")
        assert requests.names == []
        found = Queue("orders")(connection).get(no_ack=True)
        assert found is not None
        assert len(found.body) == size


def test_a_claim_reads_so_much_and_leaves_the_rest_for_the_next(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kombu.transport.mongodb import claims as module

    monkeypatch.setattr(module, "_ENOUGH", 250)
    store.put([("orders", Envelope("{}", text.encode() * 25)) for text in numbered(5)])
    claims = [bodies(store.claim({"orders": 5}, LEASE)) for _ in range(2)]
    assert [[text[:4] for text in claim] for claim in claims] == [["0000", "0001", "0002"], ["0003", "0004"]]


def test_who_competes_for_messages_chooses_another_portion_and_misses_none(database: str) -> None:
    stores = [mongodb.new_store(database) for _ in range(4)]
    seen: list[Lease] = []

    def consume(store: MongoStore) -> None:
        with closing(store):
            store.open()
            while claimed := store.claim({"orders": 5}, LEASE):
                seen.extend(delivery.lease for delivery in claimed)

    with closing(mongodb.new_store(database)) as first:
        first.open()
        first.declare(QueueSpec(name="orders"))
        first.put([("orders", message(text)) for text in numbered(100)])
        in_threads([partial(consume, store) for store in stores], PATIENCE)
        seen += [delivery.lease for delivery in first.claim({"orders": 100}, LEASE)]
    assert len({lease.id for lease in seen}) == len(seen) == 100


def test_ids_of_one_process_are_in_order_whatever_its_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu.transport.mongodb import ids

    times = iter([2_000_000, 2_000_000, 1_000_000, 3_000_000])
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(times))
    made = ids.Ids()
    found = [id for _ in range(4) for id in made.take(3)]
    assert found == sorted(set(found))
    assert {len(id) for id in found} == {32}
