"""SNS carries what many queues get, in one request, and only where it does exactly what the topology says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("boto3")

from kombu import Connection, Exchange, Queue
from tests.aws import Region

pytestmark = pytest.mark.server("sqs")


@pytest.fixture
def region() -> Iterator[Region]:
    made = Region()
    yield made
    made.clean_up(topics=True)


@pytest.fixture
def connection(region: Region) -> Iterator[Connection]:
    with Connection(region.url(supports_fanout=True)) as connection:
        yield connection


def billed(connection: Connection) -> dict[str, int]:
    found = connection.billed_requests() or {}
    return {action: found.get(action, 0) for action in ("PublishBatch", "SendMessageBatch")}


def contents(connection: Connection, *names: str) -> dict[str, list[object]]:
    """What is in the queues, which are empty afterwards."""
    found: dict[str, list[object]] = {}
    for name, counted in connection.statistics(names).items():
        found[name] = []
        for _ in range(counted.ready or 0):
            got = Queue(name)(connection).get()
            assert got is not None
            found[name].append(got.payload)
            got.ack()
    return found


def test_a_message_for_many_queues_is_one_request(connection: Connection) -> None:
    news, names = Exchange("news", "fanout"), [f"reader-{n}" for n in range(12)]
    for name in names:
        Queue(name, news)(connection).declare()
    connection.Producer().publish("hello", exchange=news, headers={"größe": 1}, priority=None)
    assert billed(connection) == {"PublishBatch": 1, "SendMessageBatch": 0}
    assert contents(connection, *names) == {name: ["hello"] for name in names}


def test_it_arrives_as_if_it_had_come_without_sns(connection: Connection) -> None:
    news = Exchange("news", "topic")
    for name in ("red", "blue"):
        Queue(name, news, "order.#")(connection).declare()
    body = bytes(range(256))
    connection.Producer().publish(
        body, exchange=news, routing_key="order.paid", content_type="application/octet-stream", headers={"größe": [1]}
    )
    assert billed(connection)["PublishBatch"] == 1
    got = Queue("red")(connection).get()
    assert got is not None
    assert (got.body, got.headers, got.delivery_info["routing_key"]) == (body, {"größe": [1]}, "order.paid")
    assert not got.delivery_info["redelivered"]


def test_topic_and_direct_exchanges_are_filtered_by_sns(connection: Connection) -> None:
    shop = Exchange("shop", "topic")
    for name, key in {"all": "#", "orders": "order.#", "paid": "#.paid", "other": "invoice.#"}.items():
        Queue(name, shop, key)(connection).declare()
    connection.Producer().publish("a", exchange=shop, routing_key="order.paid")
    connection.Producer().publish("b", exchange=shop, routing_key="order.sent")
    assert billed(connection) == {"PublishBatch": 2, "SendMessageBatch": 0}
    assert contents(connection, "all", "orders", "paid", "other") == {
        "all": ["a", "b"],
        "orders": ["a", "b"],
        "paid": ["a"],
        "other": [],
    }


def test_what_sns_cannot_filter_goes_to_each_queue_and_reaches_the_same(connection: Connection) -> None:
    shop = Exchange("shop", "topic")
    Queue("some", shop, "order.*.paid")(connection).declare()
    Queue("all", shop, "#")(connection).declare()
    connection.Producer().publish("a", exchange=shop, routing_key="order.7.paid")
    assert billed(connection) == {"PublishBatch": 0, "SendMessageBatch": 2}
    assert contents(connection, "some", "all") == {"some": ["a"], "all": ["a"]}


def test_many_messages_go_ten_at_a_time(connection: Connection) -> None:
    news = Exchange("news", "fanout")
    for name in ("red", "blue"):
        Queue(name, news)(connection).declare()
    connection.Producer().publish_many(list(range(25)), exchange=news)
    assert billed(connection) == {"PublishBatch": 3, "SendMessageBatch": 0}
    found = contents(connection, "red", "blue")
    assert {name: sorted(map(int, map(str, each))) for name, each in found.items()} == {
        "red": list(range(25)),
        "blue": list(range(25)),
    }


def test_a_binding_that_is_removed_counts_no_more(connection: Connection) -> None:
    news = Exchange("news", "fanout")
    for name in ("red", "blue", "green"):
        Queue(name, news)(connection).declare()
    Queue("green")(connection).unbind_from(news)
    connection.Producer().publish("a", exchange=news)
    Queue("blue")(connection).delete()
    connection.Producer().publish("b", exchange=news)
    assert contents(connection, "red", "green") == {"red": ["a", "b"], "green": []}


def test_a_topic_goes_with_its_exchange(connection: Connection, region: Region) -> None:
    news = Exchange("news", "fanout")
    Queue("red", news)(connection).declare()
    assert len(region.topics()) == 1
    news(connection).delete()
    assert region.topics() == []


def test_delayed_and_too_large_messages_go_to_each_queue(connection: Connection) -> None:
    """SNS delays nothing, and takes 256 KiB at most."""
    news = Exchange("news", "fanout")
    for name in ("red", "blue"):
        Queue(name, news)(connection).declare()
    connection.Producer().publish("x" * 300_000, exchange=news)
    connection.Producer().publish("later", exchange=news, delay=1)
    assert billed(connection)["PublishBatch"] == 0


def test_a_filter_is_not_relied_on_before_sns_has_it_for_certain(region: Region) -> None:
    """That takes up to 15 minutes; until then each queue is sent to."""
    with Connection(region.url(supports_fanout=True, filter_delay=900)) as connection:
        shop, news = Exchange("shop", "direct"), Exchange("news", "fanout")
        news(connection).declare()
        for name in ("red", "blue"):
            Queue(name, shop, "paid")(connection).declare()
            Queue(name)(connection).bind_to(news)
        connection.Producer().publish("a", exchange=shop, routing_key="paid")
        assert billed(connection) == {"PublishBatch": 0, "SendMessageBatch": 2}
        connection.Producer().publish("b", exchange=news)
        assert billed(connection) == {"PublishBatch": 1, "SendMessageBatch": 2}
        assert contents(connection, "red", "blue") == {"red": ["a", "b"], "blue": ["a", "b"]}


def test_publishers_without_sns_reach_the_same_queues(connection: Connection, region: Region) -> None:
    news = Exchange("news", "fanout")
    for name in ("red", "blue"):
        Queue(name, news)(connection).declare()
    with Connection(region.url()) as plain:
        plain.Producer().publish("a", exchange=news)
        Queue("green", news)(plain).declare()
    connection.Producer().publish("b", exchange=news)
    found = contents(connection, "red", "blue", "green")
    assert found == {"red": ["a", "b"], "blue": ["a", "b"], "green": ["b"]}


def test_others_reach_the_queues_through_the_topic(connection: Connection, region: Region) -> None:
    """Without Kombu: whoever publishes to the topic names the key in an attribute."""
    shop = Exchange("shop", "topic")
    Queue("orders", shop, "order.#")(connection).declare()
    [topic] = region.topics()
    for key in ("order.paid", "invoice.paid"):
        attributes = {"kombu.key": {"DataType": "String", "StringValue": key}}
        region.calls.sns("publish", TopicArn=topic, Message=key, MessageAttributes=attributes)
    got = Queue("orders")(connection).get()
    assert got is not None
    assert got.body == b"order.paid"
    assert Queue("orders")(connection).get() is None
