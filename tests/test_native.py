"""What the transports that speak AMQP have in common: decisions as plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from kombu.exceptions import AccessRefused, DecodeError, EncodeError, MessageReturned, NotSupported, PublishRefused
from kombu.transport.base import Content, Publication
from kombu.transport.native.checks import check_queue, wire_name
from kombu.transport.native.confirms import Confirms, raise_refusals
from kombu.transport.native.delay import (
    DUE,
    PREFIX,
    BindStep,
    DeclareStep,
    bindings,
    delayed,
    requeued,
    restore,
    stairs,
    top_level,
    without_traces,
)
from kombu.transport.native.errors import refused_entry
from kombu.transport.native.properties import FOREIGN, decode_properties, encode_properties, readable
from kombu.transport.native.tables import decode_table, encode_table
from kombu.transport.native.unsettled import Acks, Unsettled


def publication(number: int, key: str = "orders", mandatory: bool = True, delay: float = 0.0) -> Publication:
    return Publication(Content(b"", {"message_id": f"m-{number}"}), "", key, mandatory, delay)


def test_a_table_cut_or_changed_anywhere_is_refused_or_read_and_never_anything_else() -> None:
    table = {"a": [1, {"b": "x", "c": None}], "d": Decimal("1.5"), "t": datetime(2026, 1, 1, tzinfo=UTC), "e": b"\xff"}
    made, dice = encode_table(table), Random(7)
    assert decode_table(made) == (table, len(made))
    for _ in range(3000):
        forged = bytearray(made)
        forged[dice.randrange(len(forged))] = dice.randrange(256)
        for junk in (bytes(forged), made[: dice.randrange(len(made))]):
            try:
                decode_table(junk)
            except DecodeError:
                continue


def test_a_table_nested_too_deep_is_refused() -> None:
    made = b"\x00\x00\x00\x00"
    for _ in range(5000):
        inner = b"\x01kF" + made
        made = len(inner).to_bytes(4, "big") + inner
    with pytest.raises(DecodeError):
        decode_table(made)
    assert FOREIGN in readable(b"\x20\x00" + made)["headers"]


def test_fields_of_other_clients_are_understood() -> None:
    fields = b"\x01aL" + (2**62).to_bytes(8, "big") + b"\x01bs\xff\xff" + b"\x01cu\x00\x07" + b"\x01db\xff"
    assert decode_table(len(fields).to_bytes(4, "big") + fields)[0] == {"a": 2**62, "b": -1, "c": 7, "d": -1}


def test_properties_come_out_as_they_went_in() -> None:
    properties = {
        "content_type": "a",
        "content_encoding": "b",
        "headers": {"x": 1},
        "delivery_mode": 2,
        "priority": 9,
        "correlation_id": "c",
        "reply_to": "d",
        "expiration": "60000",
        "message_id": "e",
        "timestamp": 1_790_000_000,
        "type": "f",
        "user_id": "g",
        "app_id": "h",
        "cluster_id": "i",
    }
    assert decode_properties(encode_properties(properties)) == properties


@pytest.mark.parametrize(
    "wrong",
    [{"priority": 256}, {"expiration": "soon"}, {"correlation_id": "x" * 256}, {"timestamp": -1}, {"headers": [1]}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_property_that_amqp_cannot_carry_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(EncodeError, match=next(iter(wrong))):
        encode_properties(wrong)


def test_confirms_come_singly_together_and_out_of_order() -> None:
    confirms = Confirms()
    first, second = confirms.sent([publication(1), publication(2)]), confirms.sent([publication(3)])
    confirms.answered(3, False)
    assert (first.done, second.done) == (False, True)
    confirms.answered(2, True)
    assert first.done
    raise_refusals(first)


def test_what_is_refused_or_comes_back_is_known_by_its_place() -> None:
    confirms = Confirms()
    ticket = confirms.sent([publication(1, "here"), publication(2, "gone"), publication(3, "full")])
    assert confirms.returned("", "gone", "m-2")
    assert not confirms.returned("", "gone", "m-2")
    confirms.answered(2, True)
    confirms.answered(3, False, positive=False)
    with pytest.raises(PublishRefused, match="'full'") as refused:
        raise_refusals(ticket)
    assert refused.value.not_stored == (1, 2)
    again = confirms.sent([publication(4, "gone")])
    confirms.returned("", "gone", "m-4")
    confirms.answered(4, False)
    with pytest.raises(MessageReturned, match="'gone'"):
        raise_refusals(again)


def test_acknowledgements_take_as_few_frames_as_they_need() -> None:
    unsettled = Unsettled()
    unsettled.held = dict.fromkeys(range(1, 8), True)
    for tag in (2, 1, 3, 5, 7):
        assert unsettled.ack(tag)
    assert not unsettled.ack(5)
    assert unsettled.due() == Acks(3, (5, 7))
    assert unsettled.due() is None
    for tag in (6, 4):
        unsettled.ack(tag)
    assert unsettled.due() == Acks(6, ())


def walk(message: Publication, top: int) -> tuple[str, int]:
    """Where the stairs lead it, and after how many milliseconds."""
    steps, place, waited = stairs(top), message.exchange, 0
    headers = message.content.properties["headers"]
    queues = {step.name: step.arguments for step in steps if isinstance(step, DeclareStep)}
    while place != DUE:
        (taken,) = [
            step
            for step in steps
            if isinstance(step, BindStep)
            and step.source == place
            and all(headers.get(name) is value for name, value in step.arguments.items() if name != "x-match")  # type: ignore[attr-defined]
        ]
        if taken.to_exchange:
            place = taken.destination
        else:
            arguments = queues[taken.destination] or {}
            waited += int(str(arguments["x-message-ttl"]))
            place = str(arguments["x-dead-letter-exchange"])
    return place, waited


@pytest.mark.parametrize("delay", [0.001, 0.002, 0.15, 0.999, 1.0, 59.999, 3600.5, 86400.123, 4294967.295])
def test_the_stairs_keep_a_message_for_its_delay_to_the_millisecond(delay: float) -> None:
    message = delayed(publication(1, delay=delay))
    assert walk(message, top_level(delay)) == (DUE, round(delay * 1000))
    assert walk(message, 31) == (DUE, round(delay * 1000))
    assert message.routing_key == "orders"


def test_a_delay_of_nothing_begins_at_the_end() -> None:
    assert delayed(publication(1, delay=0.0001)).exchange == DUE
    assert top_level(0.0001) == -1


def test_every_target_is_bound_once() -> None:
    messages = [delayed(publication(number, key, delay=1.0)) for number, key in enumerate(("a", "b", "a"))]
    assert [(step.destination, step.to_exchange) for step in bindings(messages)] == [("a", False), ("b", False)]


def test_a_message_that_came_down_the_stairs_shows_nothing_of_it() -> None:
    content = Content(b"", {"headers": {"kept": 1}, "expiration": "5"})
    message = requeued(content, "shop", "order.new", "orders", 1.5, 2)
    assert "expiration" not in message.content.properties
    headers = dict(message.content.properties["headers"])  # type: ignore[call-overload]
    death = {"queue": f"{PREFIX}3", "reason": "expired", "count": 1}
    own = {"queue": "orders", "reason": "rejected", "count": 1}
    headers |= {"x-death": [death, own], "x-first-death-queue": f"{PREFIX}3", "x-first-death-reason": "expired"}
    info: dict[str, object] = {"exchange": DUE, "redelivered": False, "delivery_count": 1}
    restore(headers, info)
    assert headers == {"kept": 1, "x-death": [own]}
    assert info == {"exchange": "shop", "redelivered": True, "delivery_count": 3}
    assert without_traces({"x-death": [death]}) == {}


def test_line_ends_in_names_are_kept_as_what_stands_for_them() -> None:
    assert wire_name("a\r\nb") == "a\u240d\u2424b"
    assert wire_name("größe 注文") == "größe 注文"


def test_the_arguments_of_a_quorum_queue_are_refused_on_a_classic_one() -> None:
    with pytest.raises(NotSupported, match=r"'amqp'.*'x-delivery-limit'.*quorum"):
        check_queue("amqp", "orders", False, True, {"x-delivery-limit": 3})
    check_queue("amqp", "orders", False, True, {"x-delivery-limit": 3, "x-queue-type": "quorum"})


def test_a_refused_entry_says_what_to_do() -> None:
    error = refused_entry(403, "ACCESS_REFUSED", user="me", virtual_host="/", address="broker:5672")
    assert isinstance(error, AccessRefused)
    assert "'me'" in str(error)
