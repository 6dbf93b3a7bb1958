"""Exchanges, queues and bindings are plain descriptions: compared, copied, pickled, and bound to be used."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from kombu import Connection, Exchange, Queue, binding
from kombu.exceptions import NotFound, PreconditionFailed
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.topology import BindingSpec

shop = Exchange("shop", "topic", delivery_mode="transient", arguments={"alternate-exchange": "rest"})
orders = Queue(
    "orders",
    shop,
    routing_key="order.*",
    bindings=[binding(Exchange("files", "headers"), arguments={"type": "pdf"}), binding("news", "order")],
    alias="o",
    queue_arguments={"x-delivery-limit": 3},
    max_priority=5,
)


def through_pickle(entity: Any) -> Any:
    return pickle.loads(pickle.dumps(entity))


def test_binding_gives_a_bound_copy_and_leaves_the_original(connection: Connection) -> None:
    channel = connection.channel()
    bound = orders(channel)
    assert (bound.is_bound, orders.is_bound) == (True, False)
    assert bound.channel is channel
    assert isinstance(bound.exchange, Exchange)
    assert bound.exchange.channel is channel
    assert not shop.is_bound
    assert bound == orders


def test_a_connection_stands_for_its_default_channel(connection: Connection) -> None:
    assert shop(connection).channel is connection.default_channel
    assert Queue("q", channel=connection).channel is connection.default_channel
    assert Exchange("e", channel=connection).channel is connection.default_channel


def test_maybe_bind_binds_what_is_not_bound(connection: Connection) -> None:
    first, second = connection.channel(), connection.channel()
    assert orders.maybe_bind(None) is orders
    bound = orders.maybe_bind(first)
    assert bound.channel is first
    assert bound.maybe_bind(second) is bound
    assert bound.bind(second).channel is second


@pytest.mark.parametrize("entity", [shop, orders, orders.bindings[0]])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle])
def test_a_copy_is_equal_with_an_equal_hash(copied: Callable[[Any], Any], entity: Any) -> None:
    other = copied(entity)
    assert other is not entity
    assert other == entity
    assert hash(other) == hash(entity)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, through_pickle])
@pytest.mark.parametrize("entity", [shop, orders])
def test_a_copy_of_a_bound_entity_is_not_bound(
    copied: Callable[[Any], Any], entity: Any, connection: Connection
) -> None:
    other = copied(entity(connection))
    assert other == entity
    assert not other.is_bound
    assert not getattr(other, "exchange", other).is_bound


@pytest.mark.parametrize(
    "other",
    [
        Exchange("shop2", "topic", delivery_mode="transient", arguments={"alternate-exchange": "rest"}),
        Exchange("shop", "direct", delivery_mode="transient", arguments={"alternate-exchange": "rest"}),
        Exchange("shop", "topic", delivery_mode="persistent", arguments={"alternate-exchange": "rest"}),
        Exchange("shop", "topic", delivery_mode="transient"),
        Queue("shop"),
        "shop",
    ],
)
def test_another_description_is_not_equal(other: object) -> None:
    assert shop != other


@pytest.mark.parametrize(
    "options",
    [
        {"routing_key": "other"},
        {"exchange": Exchange("other")},
        {"bindings": [binding("news", "a")]},
        {"durable": False},
        {"message_ttl": 1},
        {"queue_arguments": {"x-delivery-limit": 3}},
    ],
)
def test_queues_that_differ_in_anything_are_not_equal(options: dict[str, Any]) -> None:
    assert Queue("q", **options) != Queue("q")
    assert Queue("q", **options) == Queue("q", **options)


def test_bindings_are_equal_when_they_say_the_same() -> None:
    assert binding(shop, "a", {"x": 1}) == binding(copy.copy(shop), "a", {"x": 1})
    assert binding(shop, "a") != binding(shop, "b")
    assert binding(shop, "a") != binding(shop, "a", {"x": 1})
    assert len({binding(shop, "a"), binding(shop, "a"), shop.binding("a")}) == 1


@pytest.mark.parametrize(("given", "mode"), [(None, 2), ("persistent", 2), ("transient", 1), (1, 1), (2, 2)])
def test_the_delivery_mode_has_names(given: str | int | None, mode: int) -> None:
    assert Exchange("e", delivery_mode=given).delivery_mode == mode


@pytest.mark.parametrize("bad", ["durable", 3, 0, -1, "2", 1.5])
def test_an_unknown_delivery_mode_is_refused_naming_it(bad: Any) -> None:
    with pytest.raises(ValueError, match=rf"delivery_mode={bad!r}"):
        Exchange("e", delivery_mode=bad)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        ({"expires": 1.5}, {"x-expires": 1500}),
        ({"message_ttl": 0}, {"x-message-ttl": 0}),
        ({"message_ttl": 0.0015}, {"x-message-ttl": 2}),
        ({"max_length": 10, "max_length_bytes": 2048}, {"x-max-length": 10, "x-max-length-bytes": 2048}),
        ({"max_priority": 9}, {"x-max-priority": 9}),
        ({"queue_arguments": {"x-delivery-limit": 3}, "expires": 1}, {"x-delivery-limit": 3, "x-expires": 1000}),
        ({"queue_arguments": {"x-expires": 5}, "expires": 1}, {"x-expires": 1000}),
    ],
)
def test_times_travel_as_milliseconds_and_sizes_as_they_are(
    options: dict[str, Any], arguments: dict[str, object]
) -> None:
    assert Queue("q", **options).arguments == arguments


def test_an_exclusive_queue_is_deleted_with_its_consumer() -> None:
    assert Queue("q", exclusive=True).auto_delete
    assert not Queue("q").auto_delete


def test_as_dict_gives_what_the_entity_was_made_from() -> None:
    described = orders.as_dict()
    assert described["name"] == "orders"
    assert described["exchange"] == shop
    assert described["max_priority"] == 5
    assert Queue(**described) == orders
    assert Exchange(**shop.as_dict()) == shop


def test_what_the_caller_passed_is_not_changed_by_us_nor_ours_by_the_caller() -> None:
    arguments: dict[str, object] = {"x-delivery-limit": 3}
    queue = Queue("q", queue_arguments=arguments, expires=1)
    arguments["x-delivery-limit"] = 4
    assert queue.arguments == {"x-delivery-limit": 3, "x-expires": 1000}
    assert arguments == {"x-delivery-limit": 4}


def test_declaring_a_queue_declares_its_exchange_itself_and_its_bindings(
    connection: Connection, store: MemoryStore
) -> None:
    Exchange("news", "fanout")(connection).declare()
    queue = Queue(
        "orders",
        Exchange("shop", "topic"),
        routing_key="order.*",
        bindings=[binding(Exchange("files", "headers"), arguments={"type": "pdf"}), shop.binding("stock.#")],
        binding_arguments={"x": 1},
        queue_arguments={"x-delivery-limit": 3},
    )
    with pytest.raises(PreconditionFailed, match="alternate-exchange"):
        queue(connection).declare()
    queue.bindings = queue.bindings[:1]
    assert queue(connection).declare() == "orders"
    topology = store.topology()
    assert {name: topology.exchanges[name].type for name in ("shop", "files")} == {"shop": "topic", "files": "headers"}
    assert topology.queues["orders"].arguments == {"x-delivery-limit": 3}
    assert list(topology.bindings) == [
        BindingSpec(source="shop", destination="orders", routing_key="order.*", arguments={"x": 1}),
        BindingSpec(source="files", destination="orders", arguments={"type": "pdf"}),
    ]


def test_an_entity_may_be_declared_on_a_channel_without_being_bound(connection: Connection, store: MemoryStore) -> None:
    Queue("orders", Exchange("shop"), routing_key="k").declare(channel=connection.channel())
    assert [each.source for each in store.topology().bindings] == ["shop"]


def test_a_queue_without_a_name_takes_the_brokers(connection: Connection, store: MemoryStore) -> None:
    heard: list[tuple[str, int, int]] = []
    queue = Queue(on_declared=lambda *answer: heard.append(answer))(connection)
    name = queue.declare()
    assert (queue.name, heard) == (name, [(name, 0, 0)])
    assert list(store.topology().queues) == [name]


@pytest.mark.parametrize("entity", [Exchange("shop", no_declare=True), Exchange(""), Exchange("amq.topic", "topic")])
def test_what_belongs_to_others_is_not_declared(entity: Exchange, connection: Connection, store: MemoryStore) -> None:
    entity(connection).declare()
    Queue("orders", no_declare=True)(connection).declare()
    assert store.topology().exchanges.keys() <= {"amq.topic"}
    assert store.topology().queues == {}


def test_a_passive_exchange_is_only_looked_for(connection: Connection, store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="'shop'"):
        Exchange("shop", passive=True)(connection).declare()
    Exchange("shop")(connection).declare()
    Exchange("shop", passive=True)(connection).declare()
    assert store.topology().exchanges["shop"].type == "direct"


def test_bindings_can_be_made_and_undone_one_by_one(connection: Connection, store: MemoryStore) -> None:
    source, inner, queue = Exchange("shop")(connection), Exchange("inner")(connection), Queue("q")(connection)
    for entity in (source, inner, queue):
        entity.declare()
    inner.bind_to(source, "a")
    queue.bind_to("inner", "a")
    source.binding("b").bind(queue)
    assert sorted((each.source, each.destination, each.to_exchange) for each in store.topology().bindings) == [
        ("inner", "q", False),
        ("shop", "inner", True),
        ("shop", "q", False),
    ]
    inner.unbind_from(source, "a")
    queue.unbind_from(inner, "a")
    source.binding("b").unbind(queue)
    assert store.topology().bindings == ()


def test_a_bound_queue_is_purged_and_deleted(connection: Connection, store: MemoryStore) -> None:
    queue = Queue("q", Exchange("shop"), routing_key="k")(connection)
    queue.declare()
    connection.Producer(exchange=Exchange("shop"), routing_key="k").publish_many([1, 2])
    assert queue.queue_declare(passive=True).message_count == 2
    assert queue.purge() == 2
    queue.queue_unbind()
    assert store.topology().bindings == ()
    assert queue.delete() == 0
    assert isinstance(queue.exchange, Exchange)
    queue.exchange.delete()
    assert store.topology().queues == {}
    assert "shop" not in store.topology().exchanges
