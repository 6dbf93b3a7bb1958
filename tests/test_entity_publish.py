"""An exchange makes and publishes messages without a producer; queues are consumed without a consumer."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import EncodeError, MessageReturned, NotFound, NotSupported, PreconditionFailed
from kombu.transport.memory import MemoryStore
from tests.memory import declared, drain, nothing_comes, take

shop = Exchange("shop", delivery_mode="transient")


@pytest.fixture
def bound(connection: Connection) -> Exchange:
    Queue("orders", shop, routing_key="k")(connection).declare()
    return shop(connection)


@pytest.mark.parametrize("body", ["ü", b"\xff", {"a": [1]}, None, 5])
def test_what_is_published_arrives(body: object, bound: Exchange, connection: Connection) -> None:
    bound.publish(body, "k")
    bound.publish(bound.Message(body), routing_key="k")
    for _ in range(2):
        message = take(connection)
        assert message.payload == body
        message.ack()


def test_a_message_has_the_properties_it_was_given(bound: Exchange, connection: Connection) -> None:
    made = bound.Message(
        "<a>ü</a>",
        priority=3,
        content_type="application/xml",
        content_encoding="latin-1",
        properties={"correlation_id": "c", "message_id": "m"},
        headers={"h": 1},
    )
    assert made.body == "<a>ü</a>".encode("latin-1")
    bound.publish(made, "k")
    message = take(connection)
    assert (message.content_type, message.content_encoding, message.headers) == ("application/xml", "latin-1", {"h": 1})
    assert message.properties["delivery_mode"] == 1
    assert message.properties["priority"] == 3
    assert (message.properties["correlation_id"], message.properties["message_id"]) == ("c", "m")
    message.ack()


def test_two_messages_have_different_ids_and_the_mode_that_was_asked_for() -> None:
    first, second = shop.Message("x"), shop.Message("x", delivery_mode="persistent")
    assert first.properties["message_id"] != second.properties["message_id"]
    assert (first.properties["delivery_mode"], second.properties["delivery_mode"]) == (1, 2)


def test_it_can_be_published_to_another_exchange(bound: Exchange, connection: Connection) -> None:
    bound.publish("x", "orders", exchange="")
    bound.publish("y", "k", exchange=Exchange("shop"))
    for expected in ("x", "y"):
        message = take(connection)
        assert message.payload == expected
        message.ack()


def test_a_mandatory_message_that_nobody_wants_is_returned(bound: Exchange) -> None:
    bound.publish("dropped", "nobody")
    with pytest.raises(MessageReturned, match="nobody"):
        bound.publish("x", "nobody", mandatory=True)
    with pytest.raises(NotSupported, match="immediate"):
        bound.publish("x", "k", immediate=True)


@pytest.mark.parametrize(
    ("body", "options", "text"),
    [
        ({"a": 1}, {"content_type": "application/json"}, "text or bytes already, not dict"),
        ("ü", {"content_type": "text/plain", "content_encoding": "us-ascii"}, "cannot be encoded as 'us-ascii'"),
        ("ü", {"content_type": "text/plain", "content_encoding": "klingon"}, "cannot be encoded as 'klingon'"),
        (object(), {}, "no JSON form"),
    ],
)
def test_a_body_that_cannot_be_sent_is_an_encode_error(body: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        shop.Message(body, **options)


def test_a_queue_is_consumed_by_the_tag_that_it_answers(connection: Connection) -> None:
    queue = Queue("orders")(connection)
    queue.declare()
    got: list[Any] = []
    assert queue.consume("mine", lambda message: got.append(message.payload), no_ack=True) == "mine"
    Exchange("")(connection).publish("x", "orders")
    drain(connection, 1)
    assert got == ["x"]
    queue.cancel("mine")
    Exchange("")(connection).publish("y", "orders")
    nothing_comes(connection)
    assert got == ["x"]


def test_who_consumes_from_a_queue_can_be_told_that_it_was_deleted(connection: Connection) -> None:
    queue = Queue("orders")(connection)
    queue.declare()
    gone: list[str] = []
    queue.consume("mine", on_cancel=gone.append)
    queue.delete()
    nothing_comes(connection)
    assert gone == ["mine"]


def test_an_exchange_is_only_looked_for_when_asked(connection: Connection, store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="'shop'"):
        shop(connection).declare(passive=True)
    assert declared(store) == ([], [])
    Exchange("looked for", passive=True)(connection).declare(passive=False)
    assert declared(store) == (["looked for"], [])


def test_a_passive_queue_is_only_looked_for_and_nothing_is_made_for_it(
    connection: Connection, store: MemoryStore
) -> None:
    queue = Queue("orders", shop, routing_key="k", passive=True)(connection)
    with pytest.raises(NotFound, match="'orders'"):
        queue.declare()
    assert declared(store) == ([], [])
    queue.queue_declare(passive=False)
    assert queue.declare() == "orders"
    assert declared(store) == ([], ["orders"])
    assert store.topology().bindings == ()


def test_a_declaration_that_differs_names_the_difference(bound: Exchange, connection: Connection) -> None:
    with pytest.raises(PreconditionFailed, match=r"type.*topic|topic.*direct"):
        Exchange("shop", "topic")(connection).declare()
    with pytest.raises(PreconditionFailed, match="x-message-ttl"):
        Queue("orders", message_ttl=5)(connection).declare()
    with pytest.raises(PreconditionFailed, match="durable"):
        Queue("orders", durable=False)(connection).declare()


def test_what_may_go_by_itself_is_not_remembered_as_declared() -> None:
    assert Exchange("e").can_cache_declaration
    assert not Exchange("e", auto_delete=True).can_cache_declaration
    assert Queue("q", message_ttl=1).can_cache_declaration
    for queue in (
        Queue("q", auto_delete=True),
        Queue("q", exclusive=True),
        Queue("q", expires=5),
        Queue("q", queue_arguments={"x-expires": 5000}),
    ):
        assert not queue.can_cache_declaration


def test_a_headers_binding_is_undone_by_its_own_arguments(connection: Connection, store: MemoryStore) -> None:
    files = Exchange("files", "headers")
    queue = Queue("q", files, binding_arguments={"type": "pdf"})(connection)
    queue.declare()
    second = files.binding(arguments={"type": "png"})
    second.bind(queue)
    queue.queue_unbind()
    assert [each.arguments for each in store.topology().bindings] == [{"type": "png"}]
    queue.queue_unbind({"type": "png"})
    assert store.topology().bindings == ()


def test_a_binding_may_lead_to_another_exchange(connection: Connection, store: MemoryStore) -> None:
    source, target = Exchange("source")(connection), Exchange("target")(connection)
    source.declare()
    target.declare()
    source.binding("k").bind(target)
    assert [(each.source, each.destination, each.to_exchange) for each in store.topology().bindings] == [
        ("source", "target", True)
    ]
    source.binding("k").unbind(target)
    assert store.topology().bindings == ()
