"""What publish has returned for is stored in every queue it was routed to; otherwise it raises and stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import MessageReturned, NotFound
from kombu.transport.base import Publication
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Envelope
from tests.memory import Connect, counts, transport_over
from tests.shop import AT_ONCE, bodies, orders, shop, taken


def test_a_published_message_is_in_every_bound_queue(producer: Producer, connect: Connect) -> None:
    Queue("audit", shop, routing_key="#")(connect()).declare()
    Queue("stock", shop, routing_key="stock.#")(connect()).declare()
    producer.publish({"id": 1})
    other = connect()
    assert [bodies(other, queue) for queue in ("orders", "audit", "stock")] == [[{"id": 1}], [{"id": 1}], []]


def test_a_message_that_nobody_wants_is_dropped(producer: Producer, connection: Connection) -> None:
    producer.publish({"id": 1}, routing_key="nobody")
    assert bodies(connection) == []


def test_a_mandatory_message_that_nobody_wants_is_returned_naming_exchange_and_key(producer: Producer) -> None:
    with pytest.raises(MessageReturned, match=r"(?=.*'shop')(?=.*'nobody')"):
        producer.publish({"id": 1}, routing_key="nobody", mandatory=True)


def test_a_mandatory_message_that_somebody_wants_is_stored(producer: Producer, connection: Connection) -> None:
    producer.publish({"id": 1}, mandatory=True)
    assert bodies(connection) == [{"id": 1}]


@pytest.mark.usefixtures("open_shop")
def test_on_return_is_given_what_was_returned(connection: Connection) -> None:
    returned: list[tuple[MessageReturned, Publication]] = []
    producer = Producer(connection, shop, on_return=lambda error, publication: returned.append((error, publication)))
    producer.publish({"id": 1}, routing_key="nobody", mandatory=True)
    [(error, publication)] = returned
    assert "nobody" in str(error)
    assert (publication.exchange, publication.routing_key, publication.content.body) == ("shop", "nobody", b'{"id":1}')


def test_an_unknown_exchange_is_not_found_by_name(connection: Connection) -> None:
    with pytest.raises(NotFound, match="'missing'"):
        connection.Producer().publish("x", exchange="missing")


def test_the_exchange_is_declared_by_its_producer(connect: Connect, name: str) -> None:
    connect().Producer(exchange=shop).publish("x")
    assert MemoryStore(name).topology().exchanges["shop"].type == "topic"
    with pytest.raises(NotFound, match="'other'"):
        connect().Producer(exchange=Exchange("other"), auto_declare=False).publish("x")


@pytest.mark.parametrize("mandatory", [False, True])
@pytest.mark.parametrize("before", ["routed nowhere", "routed elsewhere"])
def test_a_binding_that_another_connection_made_counts_for_the_next_message(
    before: str, mandatory: bool, producer: Producer, connect: Connect
) -> None:
    if before == "routed elsewhere":
        Queue("first", shop, routing_key="late.#")(connect()).declare()
    producer.publish("before", routing_key="late.news")
    Queue("late", shop, routing_key="late.*")(connect()).declare()
    producer.publish("after", routing_key="late.news", mandatory=mandatory)
    assert bodies(connect(), "late") == ["after"]


def test_an_exchange_that_another_connection_declared_is_known_to_the_next_message(
    connection: Connection, connect: Connect
) -> None:
    with pytest.raises(NotFound):
        connection.Producer().publish("before", exchange="late", routing_key="k")
    Queue("late", Exchange("late"), routing_key="k")(connect()).declare()
    connection.Producer().publish("after", exchange="late", routing_key="k")
    assert bodies(connection, "late") == ["after"]


def test_a_queue_that_another_connection_deleted_gets_nothing_and_takes_nothing_along(
    producer: Producer, connect: Connect
) -> None:
    audit = Queue("audit", shop, routing_key="#")(connect())
    audit.declare()
    producer.publish("before")
    orders(connect()).delete()
    producer.publish("after", mandatory=True)
    assert bodies(connect(), "audit") == ["before", "after"]
    audit.delete()
    with pytest.raises(MessageReturned):
        producer.publish("returned", mandatory=True)


def test_a_batch_is_stored_in_its_order(producer: Producer, connection: Connection, name: str) -> None:
    with producer.batch() as batch:
        batch.publish(1)
        batch.publish(2, routing_key="order.old")
        assert counts(name).total == 0
    producer.publish_many([3, 4], priority=1)
    assert bodies(connection) == [1, 2, 3, 4]


def test_a_batch_whose_block_raises_is_not_published(producer: Producer, name: str) -> None:
    with pytest.raises(ZeroDivisionError), producer.batch() as batch:
        batch.publish("a")
        _ = 1 / 0
    assert counts(name).total == 0


def test_publish_many_takes_what_publish_takes(producer: Producer, connect: Connect) -> None:
    audit = Queue("audit", shop, routing_key="#")
    producer.publish_many([1, 2], declare=[audit], retry=True, retry_policy=AT_ONCE)
    assert bodies(connect(), "audit") == [1, 2]


@pytest.mark.parametrize("declare", [None, [], [Queue("late", shop, routing_key="order.#")]])
def test_declare_makes_exist_what_the_message_needs(declare: list[Queue] | None, producer: Producer, name: str) -> None:
    producer.publish("x", declare=declare)
    assert ("late" in MemoryStore(name).topology().queues) is bool(declare)


def test_a_delayed_message_waits(producer: Producer, name: str) -> None:
    producer.publish("later", delay=3600)
    assert (counts(name).ready, counts(name).delayed) == (0, 1)


@pytest.mark.parametrize(
    ("expiration", "queue_ttl", "ttl"),
    [(None, None, None), (1.5, None, 1.5), (None, 2000, 2.0), (1.5, 2000, 1.5), (3, 2000, 2.0), (0, 2000, 0.0)],
)
def test_a_message_lives_as_long_as_the_shorter_of_its_own_and_its_queues_time(
    expiration: float | None, queue_ttl: int | None, ttl: float | None, connect: Connect, name: str
) -> None:
    seen: list[float | None] = []

    class Store(MemoryStore):
        def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
            seen.extend(envelope.ttl for _, envelope in items)
            super().put(items, version)

    arguments = {} if queue_ttl is None else {"x-message-ttl": queue_ttl}
    connection = connect(transport=transport_over(lambda: Store(name)))
    Queue("brief", queue_arguments=arguments)(connection).declare()
    connection.Producer().publish("x", routing_key="brief", expiration=expiration)
    assert seen[-1] == ttl


def test_a_higher_priority_comes_first_and_none_is_above_the_queues(connection: Connection) -> None:
    Queue("ranked", max_priority=5)(connection).declare()
    producer = connection.Producer(routing_key="ranked")
    for body, priority in [("none", 0), ("five", 5), ("two", 2), ("nine", 9), ("five again", 5)]:
        producer.publish(body, priority=priority)
    assert bodies(connection, "ranked") == ["five", "nine", "five again", "two", "none"]


def test_a_queue_without_priorities_keeps_the_order(producer: Producer, connection: Connection) -> None:
    for priority in (1, 9, 5):
        producer.publish(priority, priority=priority)
    assert bodies(connection) == [1, 9, 5]


def test_every_message_has_an_id_of_its_own(producer: Producer, connection: Connection) -> None:
    producer.publish("a")
    producer.publish("b", message_id=None)
    producer.publish("c", message_id="mine")
    ids = [message.properties["message_id"] for message in taken(connection)]
    assert ids[2] == "mine"
    assert UUID(ids[0]) != UUID(ids[1])


def test_properties_and_headers_arrive_as_they_were_sent(producer: Producer, connection: Connection) -> None:
    properties: dict[str, Any] = {
        "correlation_id": "c1",
        "reply_to": "answers",
        "message_id": "m1",
        "timestamp": 1_700_000_000,
        "type": "order",
        "user_id": "u1",
        "app_id": "shop",
        "cluster_id": "c",
    }
    headers = {"größe": "注文", "n": 1, "none": None, "deep": {"list": [1, b"\xff", datetime(2024, 1, 1, tzinfo=UTC)]}}
    producer.publish("x", headers=headers, priority=3, expiration=60, delivery_mode="transient", **properties)
    [message] = taken(connection)
    assert message.headers == headers
    assert message.properties == {**properties, "priority": 3, "expiration": "60000", "delivery_mode": 1}
    assert (message.delivery_info["exchange"], message.delivery_info["routing_key"]) == ("shop", "order.new")


def test_reply_to_may_be_a_queue(producer: Producer, connection: Connection) -> None:
    producer.publish("x", reply_to=Queue("answers"))
    assert taken(connection)[0].properties["reply_to"] == "answers"


@pytest.mark.parametrize("body", [b"\x00\xff" * 1000, "größe" * 1000, {"id": 1}])
def test_a_compressed_body_arrives_as_it_was(body: object, producer: Producer, connection: Connection) -> None:
    producer.publish(body, compression="bzip2")
    [message] = taken(connection)
    assert message.headers["compression"] == "application/x-bz2"
    assert str(message.body)[:6] == "b'BZh9"
    assert message.payload == body


def test_a_body_with_a_content_type_is_sent_as_it_is(producer: Producer, connection: Connection) -> None:
    mutable = bytearray(b"<order/>")
    producer.publish(mutable, content_type="application/xml")
    mutable.clear()
    producer.publish("größe", content_type="text/plain", content_encoding="latin-1")
    first, second = taken(connection)
    assert (first.content_type, first.body) == ("application/xml", b"<order/>")
    assert (second.body, second.payload) == ("größe".encode("latin-1"), "größe")
