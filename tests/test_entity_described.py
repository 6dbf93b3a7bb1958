"""A queue from settings, and a description of one that gives it back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kombu import Exchange, Queue, binding

shop = Exchange("shop", "topic", delivery_mode="transient", durable=False, arguments={"alternate-exchange": "rest"})
FULL = Queue(
    "orders",
    shop,
    routing_key="order.*",
    bindings=[binding(Exchange("files", "headers"), arguments={"type": "pdf"}), binding(None, "k", {}, {"x": 1})],
    durable=False,
    no_ack=True,
    alias="o",
    queue_arguments={"x-delivery-limit": 3},
    binding_arguments={"b": 1},
    consumer_arguments={"x-priority": 5},
    passive=True,
    no_declare=True,
    expires=60.5,
    message_ttl=0,
    max_length=10,
    max_length_bytes=1000,
    max_priority=9,
)


@pytest.mark.parametrize("queue", [FULL, Queue("q"), Queue("q", "e"), Queue("q", exclusive=True, max_length=0)])
def test_a_description_gives_the_queue_back(queue: Queue) -> None:
    described = queue.as_dict(recurse=True)
    assert described == json.loads(json.dumps(described))
    assert Queue.from_dict(described.pop("name"), **described) == queue
    shallow = queue.as_dict()
    assert shallow["exchange"] is queue.exchange
    assert Queue(**shallow) == queue


def test_every_attribute_is_described() -> None:
    assert set(Queue.attrs) == vars(Queue("q")).keys() - {"on_declared"}
    assert set(Exchange.attrs) == vars(Exchange("e")).keys()
    assert set(binding.attrs) == vars(binding("e")).keys()


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        ({}, Queue("q")),
        ({"exchange": "shop"}, Queue("q", Exchange("shop"))),
        ({"exchange": shop, "routing_key": "a"}, Queue("q", shop, routing_key="a")),
        ({"exchange": "shop", "exchange_type": "topic"}, Queue("q", Exchange("shop", "topic"))),
        ({"binding_key": "b", "routing_key": "a"}, Queue("q", routing_key="b")),
        ({"exchange": "e", "delivery_mode": 1}, Queue("q", Exchange("e", delivery_mode=1))),
        ({"exchange": "e", "exchange_arguments": {"x": 1}}, Queue("q", Exchange("e", arguments={"x": 1}))),
        ({"exchange": "e", "durable": False}, Queue("q", Exchange("e", durable=False), durable=False)),
        (
            {"exchange": "e", "auto_delete": True, "exchange_auto_delete": False},
            Queue("q", Exchange("e"), auto_delete=True),
        ),
        ({"exchange": "e", "exchange_durable": False}, Queue("q", Exchange("e", durable=False))),
        ({"exchange": "e", "durable": False, "queue_durable": True}, Queue("q", Exchange("e", durable=False))),
        ({"queue_auto_delete": True}, Queue("q", auto_delete=True)),
        (
            {"queue_arguments": {"x": 1}, "expires": 5, "no_ack": True, "alias": None},
            Queue("q", no_ack=True, queue_arguments={"x": 1}, expires=5),
        ),
        ({"bindings": [{"exchange": "e", "routing_key": "k"}]}, Queue("q", bindings=[binding("e", "k")])),
        ({"bindings": [binding("e", "k")]}, Queue("q", bindings=[binding("e", "k")])),
    ],
)
def test_a_flat_description_makes_the_queue(options: dict[str, Any], queue: Queue) -> None:
    given = dict(options)
    assert Queue.from_dict("q", **options).as_dict() == queue.as_dict()
    assert options == given


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"exchang": "e"}, "no option exchang"),
        ({"type": "topic"}, "no option type"),
        ({"exchange_type": "topic"}, r"options of the exchange \(type\) need its name"),
        ({"exchange": shop, "exchange_durable": True}, r"options of the exchange \(durable\) need its name"),
        ({"exchange": "e", "delivery_mode": 3}, "delivery_mode=3"),
        ({"expires": -1}, "expires=-1"),
        ({"bindings": ["e"]}, "must be bindings"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Queue.from_dict("q", **options)


def test_a_subclass_describes_its_own_kind() -> None:
    class Own(Queue):
        pass

    assert type(Own.from_dict("q")) is Own
    assert Own("q") != Queue("q")


def test_bindings_may_stand_in_place_of_the_exchange_and_come_in_any_container() -> None:
    first, second = binding("a", "x"), binding("b", "y")
    expected = Queue("q", bindings=(first, second))
    assert expected.bindings == (first, second)
    assert Queue("q", bindings=[first, second]) == expected
    assert Queue("q", [first, second]) == expected
    assert Queue("q", (first,), bindings=[second]) == expected
    assert Queue("q", bindings={second, first}) == Queue("q", {first, second}) == expected
    assert Queue("q", bindings=first).bindings == (first,)
    assert Queue("q", bindings=(each for each in (first, second))) == expected


def test_a_binding_is_undone_by_the_arguments_it_was_made_with_unless_it_says_otherwise() -> None:
    assert binding("e", arguments={"a": 1}).unbind_arguments == {"a": 1}
    assert binding("e", arguments={"a": 1}, unbind_arguments={}).unbind_arguments == {}
    assert shop.binding("k", {"a": 1}, {"b": 2}).unbind_arguments == {"b": 2}
