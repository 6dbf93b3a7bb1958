"""A received message is one's own: what it came with is there whenever it is asked for, and is nobody else's."""

from __future__ import annotations

from copy import copy

import pytest

from kombu import Connection, Consumer, Message, Queue
from kombu.transport.virtual.head import decode_head, encode_head
from tests.memory import PATIENCE, drain, publish

USUAL = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "message_id": "m1"}

pytestmark = pytest.mark.usefixtures("orders_queue")


def received(connection: Connection, count: int) -> list[Message]:
    """Messages with heads of the usual kind, all but the first read from what is remembered of that kind."""
    publish(connection, *range(count))
    seen: list[Message] = []
    Consumer(connection.channel(), [Queue("orders")], on_message=seen.append, tag_prefix="mine-").consume()
    drain(connection, count)
    return seen


def test_a_message_says_how_it_was_delivered(connection: Connection) -> None:
    for message in received(connection, 3):
        info = dict(message.delivery_info)
        assert info.pop("consumer_tag").startswith("mine-")
        assert 0 <= info.pop("age") < PATIENCE
        assert info == {
            "exchange": "",
            "routing_key": "orders",
            "queue": "orders",
            "redelivered": False,
            "delivery_count": 1,
        }


def test_each_message_has_the_properties_it_was_published_with(connection: Connection) -> None:
    with connection.Producer(routing_key="orders") as producer:
        producer.publish("a", message_id="short")
        producer.publish("b", message_id="another, of more than thirty-six characters")
        producer.publish("c", message_id='a "quoted" one', app_id="shop", headers={"x": 1})
    first, second, third = received(connection, 3)[:3]
    assert dict(first.properties) == {"delivery_mode": 2, "message_id": "short"}
    assert dict(second.properties) == {
        "delivery_mode": 2,
        "message_id": "another, of more than thirty-six characters",
    }
    assert dict(third.properties) == {"delivery_mode": 2, "message_id": 'a "quoted" one', "app_id": "shop"}
    assert (first.headers, third.headers) == ({}, {"x": 1})


def test_what_is_changed_in_one_message_is_changed_in_no_other(connection: Connection) -> None:
    first, second, third = received(connection, 3)
    for message in (first, second):
        assert isinstance(message.headers, dict)
        assert isinstance(message.properties, dict)
        message.headers["mine"] = message.properties["mine"] = message.delivery_info["mine"] = True
    assert all(part["mine"] for each in (first, second) for part in (each.headers, each.properties, each.delivery_info))
    assert "mine" not in {**third.headers, **third.properties, **third.delivery_info}


def test_what_a_message_came_with_can_be_replaced(connection: Connection) -> None:
    for message in received(connection, 2):
        message.properties, message.delivery_info = {"type": "order"}, {"exchange": "shop"}
        assert (message.properties, message.delivery_info) == ({"type": "order"}, {"exchange": "shop"})


def test_a_settled_message_still_says_what_it_came_with(connection: Connection) -> None:
    for message in received(connection, 2):
        message.ack()
        assert message.delivery_info["queue"] == "orders"
        assert len(message.properties["message_id"]) == 36


def test_a_copy_of_a_message_says_the_same(connection: Connection) -> None:
    for message in received(connection, 2):
        twin = copy(message)
        assert (twin.body, twin.properties, twin.delivery_info) == (
            message.body,
            message.properties,
            message.delivery_info,
        )


def test_a_message_id_with_escapes_is_read_though_its_kind_of_head_is_known() -> None:
    for message_id in ("plain", "a\\b", 'a"b', "line\nend"):
        head = encode_head("shop", "k", {**USUAL, "message_id": message_id})
        assert decode_head(head).properties["message_id"] == message_id


def test_a_head_cut_off_behind_a_known_beginning_is_kept_for_people() -> None:
    head = encode_head("shop", "k", USUAL)
    decode_head(head)
    assert decode_head(head[:-1]).headers == {"x-foreign-head": head[:-1]}
