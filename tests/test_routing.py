"""A message reaches the queues that its exchange, its routing key and its headers say, each of them once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kombu.exceptions import NotFound
from kombu.transport.base import Content, Publication
from kombu.transport.virtual.routing import Router, headers_match, route, topic_matches
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology


def exchange(name: str, type: str = "direct", alternate: str | None = None) -> ExchangeSpec:
    return ExchangeSpec(name=name, type=type, arguments={"alternate-exchange": alternate} if alternate else {})


def bound(source: str, queue: str, key: str = "", **arguments: object) -> BindingSpec:
    return BindingSpec(source=source, destination=queue, routing_key=key, arguments=arguments)


def flows(source: str, into: str, key: str = "") -> BindingSpec:
    return BindingSpec(source=source, destination=into, routing_key=key, to_exchange=True)


def topology(*parts: ExchangeSpec | BindingSpec | str, version: int = 1) -> Topology:
    """Of exchanges, bindings and the names of queues; queues that bindings name are there as well."""
    bindings = tuple(part for part in parts if isinstance(part, BindingSpec))
    names = [part for part in parts if isinstance(part, str)]
    names += [binding.destination for binding in bindings if not binding.to_exchange]
    return Topology(
        version=version,
        exchanges={part.name: part for part in parts if isinstance(part, ExchangeSpec)},
        queues={name: QueueSpec(name=name) for name in names},
        bindings=bindings,
    )


def queues(
    known: Topology, exchange: str, key: str = "", headers: Mapping[str, object] | None = None
) -> tuple[str, ...]:
    return route(known, exchange, key, headers or {})


def test_a_direct_exchange_routes_by_the_whole_key() -> None:
    known = topology(exchange("shop"), bound("shop", "new", "order.new"), bound("shop", "old", "order.old"))
    assert queues(known, "shop", "order.new") == ("new",)
    assert queues(known, "shop", "order") == ()
    assert queues(known, "shop", "Order.new") == ()


def test_wildcards_mean_nothing_to_a_direct_exchange() -> None:
    known = topology(exchange("shop"), bound("shop", "stars", "*"), bound("shop", "hashes", "#"))
    assert queues(known, "shop", "a") == ()
    assert queues(known, "shop", "#") == ("hashes",)


def test_a_fanout_exchange_routes_to_every_queue_whatever_the_key() -> None:
    known = topology(exchange("news", "fanout"), bound("news", "a", "x"), bound("news", "b", "y"))
    assert queues(known, "news", "z") == ("a", "b")


@pytest.mark.parametrize(
    ("binding_key", "matching", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", "", "a.", "A.b"]),
        ("*", ["a", "*", "#"], ["", "a.b", "."]),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("*.a", ["b.a", ".a"], ["a", "c.b.a"]),
        ("a.*.c", ["a.b.c", "a..c"], ["a.c", "a.b.b.c", "a.b.d"]),
        ("*.*", ["a.b", "."], ["a", "a.b.c"]),
        ("#", ["", "a", "a.b", "a.b.c", ".", ".."], []),
        ("a.#", ["a", "a.b", "a.b.c", "a."], ["", "b", "b.a", "ab"]),
        ("#.b", ["b", "a.b", "a.a.b", ".b", "b.b"], ["", "b.a", "ab"]),
        ("a.#.b", ["a.b", "a.x.b", "a.x.y.b", "a.b.b"], ["a", "b", "a.b.c", "x.a.b"]),
        ("a.#.#", ["a", "a.b", "a.b.c"], ["", "b"]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.#", ["a", "a.b", "a.b.c", "."], [""]),
        ("#.*", ["a", "a.b", "a.b.c"], [""]),
        ("*.#.*", ["a.b", "a.b.c", "a.b.c.d"], ["", "a"]),
        ("#.a.#", ["a", "x.a", "a.x", "x.a.y", "a.a"], ["", "x", "x.y"]),
        ("#.a.b.#.c", ["a.b.c", "x.a.b.y.c", "a.a.b.c", "a.b.a.b.c.c"], ["a.c", "b.a.c", "a.x.b.c", "a.b"]),
        ("#.a.*.a", ["a.x.a", "a.a.a", "a.a.x.a"], ["a.a", "a.x.y.a"]),
        ("", [""], ["a", "."]),
        ("a..b", ["a..b"], ["a.b", "a.x.b"]),
        ("a.b#", ["a.b#"], ["a.b", "a.bc"]),
        ("größe.*", ["größe.注文"], ["grosse.注文"]),
    ],
)
def test_a_star_stands_for_one_word_and_a_hash_for_any_number(
    binding_key: str, matching: list[str], others: list[str]
) -> None:
    assert [key for key in matching if not topic_matches(binding_key, key)] == []
    assert [key for key in others if topic_matches(binding_key, key)] == []


def test_a_topic_exchange_routes_to_every_queue_whose_pattern_matches() -> None:
    known = topology(
        exchange("shop", "topic"),
        bound("shop", "all", "#"),
        bound("shop", "orders", "order.*"),
        bound("shop", "new", "*.new"),
        bound("shop", "stock", "stock.#"),
    )
    assert queues(known, "shop", "order.new") == ("all", "orders", "new")
    assert queues(known, "shop", "stock") == ("all", "stock")


def test_a_pattern_of_many_hashes_is_judged_in_reasonable_time() -> None:
    assert not topic_matches(".".join(["#", "a"] * 40), ".".join(["a"] * 39 + ["b"] * 80))


@pytest.mark.parametrize(
    ("wanted", "headers", "passes"),
    [
        ({"type": "pdf", "lang": "de"}, {"type": "pdf", "lang": "de", "more": 1}, True),
        ({"type": "pdf", "lang": "de"}, {"type": "pdf"}, False),
        ({"type": "pdf", "lang": "de"}, {"type": "pdf", "lang": "en"}, False),
        ({"x-match": "all", "type": "pdf"}, {"type": "pdf"}, True),
        ({"x-match": "all", "type": "pdf"}, {}, False),
        ({"x-match": "any", "type": "pdf", "lang": "de"}, {"lang": "de"}, True),
        ({"x-match": "any", "type": "pdf", "lang": "de"}, {"lang": "en"}, False),
        ({"x-match": "any", "type": "pdf"}, {}, False),
        ({}, {"type": "pdf"}, True),
        ({"x-match": "any"}, {"type": "pdf"}, False),
        ({"x-match": "all", "x-user": "me", "type": "pdf"}, {"type": "pdf"}, True),
        ({"x-match": "any", "x-user": "me", "type": "pdf"}, {"x-user": "me"}, False),
        ({"x-match": "all-with-x", "x-user": "me", "type": "pdf"}, {"type": "pdf"}, False),
        ({"x-match": "all-with-x", "x-user": "me", "type": "pdf"}, {"type": "pdf", "x-user": "me"}, True),
        ({"x-match": "any-with-x", "x-user": "me", "type": "pdf"}, {"x-user": "me"}, True),
        ({"x-match": "any-with-x", "x-user": "me"}, {"x-user": "you"}, False),
        ({"type": None}, {"type": "anything"}, True),
        ({"type": None}, {"type": None}, True),
        ({"type": None}, {}, False),
        ({"type": "pdf"}, {"type": None}, False),
        ({"x-match": "any", "type": None, "lang": "de"}, {"type": "pdf"}, True),
        ({"size": 1}, {"size": "1"}, False),
    ],
)
def test_a_headers_exchange_asks_for_all_or_any_of_the_arguments(
    wanted: dict[str, object], headers: dict[str, object], passes: bool
) -> None:
    assert headers_match(wanted, headers) is passes


def test_a_headers_exchange_does_not_look_at_the_key() -> None:
    known = topology(exchange("files", "headers"), bound("files", "pdfs", "some.key", type="pdf"))
    assert queues(known, "files", "another.key", {"type": "pdf"}) == ("pdfs",)
    assert queues(known, "files", "some.key", {"type": "txt"}) == ()


def test_the_default_exchange_routes_to_the_queue_of_that_name() -> None:
    known = topology("orders", "other")
    assert queues(known, "", "orders") == ("orders",)
    assert queues(known, "", "missing") == ()


def test_an_exchange_that_nobody_declared_is_not_found_by_name() -> None:
    with pytest.raises(NotFound, match="'shop'"):
        queues(topology("orders"), "shop", "orders")


def test_a_queue_that_is_bound_many_times_gets_a_message_once() -> None:
    known = topology(
        exchange("shop", "topic"),
        exchange("copy", "fanout"),
        bound("shop", "orders", "order.*"),
        bound("shop", "orders", "#"),
        flows("shop", "copy", "#"),
        bound("copy", "orders"),
    )
    assert queues(known, "shop", "order.new") == ("orders",)


def test_what_an_exchange_routes_nowhere_goes_to_its_alternate() -> None:
    known = topology(
        exchange("shop", alternate="rest"),
        exchange("rest", "fanout"),
        bound("shop", "orders", "order"),
        bound("rest", "unrouted"),
    )
    assert queues(known, "shop", "order") == ("orders",)
    assert queues(known, "shop", "other") == ("unrouted",)


def test_alternates_form_a_chain_that_ends_where_it_began() -> None:
    known = topology(
        exchange("a", alternate="b"), exchange("b", alternate="c"), exchange("c", alternate="a"), bound("c", "q", "k")
    )
    assert queues(known, "a", "k") == ("q",)
    assert queues(known, "a", "other") == ()


def test_an_alternate_that_is_not_declared_drops_the_message() -> None:
    assert queues(topology(exchange("shop", alternate="missing")), "shop", "k") == ()


def test_an_exchange_that_is_only_bound_to_an_exchange_does_not_use_its_alternate() -> None:
    known = topology(
        exchange("shop", alternate="rest"),
        exchange("inner"),
        exchange("rest", "fanout"),
        flows("shop", "inner", "k"),
        bound("rest", "unrouted"),
    )
    assert queues(known, "shop", "k") == ()


def test_messages_flow_from_exchange_to_exchange_each_with_its_own_rule() -> None:
    known = topology(
        exchange("in", "topic"),
        exchange("orders", "direct"),
        exchange("audit", "fanout"),
        flows("in", "orders", "order.#"),
        flows("in", "audit", "#"),
        bound("orders", "new", "order.new"),
        bound("audit", "log"),
    )
    assert queues(known, "in", "order.new") == ("new", "log")
    assert queues(known, "in", "stock.low") == ("log",)


def test_exchanges_bound_in_a_circle_route_each_message_once() -> None:
    known = topology(
        exchange("a", "fanout"),
        exchange("b", "fanout"),
        flows("a", "b"),
        flows("b", "a"),
        flows("a", "a"),
        bound("a", "first"),
        bound("b", "second"),
    )
    assert sorted(queues(known, "a")) == ["first", "second"]
    assert sorted(queues(known, "b")) == ["first", "second"]


def names(router: Router, exchange: str, headers: dict[str, object]) -> list[str]:
    return [target.queue for target in router.targets(Publication(Content(b"", {"headers": headers}), exchange, "k"))]


def test_a_router_answers_by_the_headers_of_each_message() -> None:
    router = Router(topology(exchange("files", "headers"), bound("files", "pdfs", type="pdf")))
    assert names(router, "files", {"type": "pdf"}) == ["pdfs"]
    assert names(router, "files", {"type": "txt"}) == []


def test_a_router_answers_the_second_time_as_it_did_the_first() -> None:
    router = Router(topology(exchange("shop"), bound("shop", "orders", "k")))
    assert names(router, "shop", {}) == names(router, "shop", {}) == ["orders"]
    for _ in range(2):
        with pytest.raises(NotFound):
            names(router, "missing", {})
