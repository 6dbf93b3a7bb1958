"""What cannot be published as it was asked for is refused by name, and nothing of it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import Producer
from kombu.exceptions import EncodeError, KombuError, MessageReturned, NotFound, NotSupported, PreconditionFailed
from tests.memory import counts


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"exchange": "missing"}, NotFound),
        ({"routing_key": "nobody", "mandatory": True}, MessageReturned),
        ({"routing_key": "k" * 256}, PreconditionFailed),
        ({"delay": -1.0}, PreconditionFailed),
        ({"headers": {"x": object()}}, EncodeError),
    ],
)
def test_one_bad_message_in_a_batch_stores_none(
    bad: dict[str, Any], error: type[KombuError], producer: Producer, name: str
) -> None:
    with pytest.raises(error), producer.batch() as batch:
        batch.publish("good")
        batch.publish("bad", **bad)
        batch.publish("good")
    assert counts(name).total == 0


@pytest.mark.parametrize("delay", [-0.1, float("nan"), float("inf")])
def test_a_delay_that_is_no_time_from_now_is_refused(delay: float, producer: Producer, name: str) -> None:
    with pytest.raises(PreconditionFailed, match="delay"):
        producer.publish("x", delay=delay)
    assert counts(name).total == 0


@pytest.mark.parametrize("expiration", [-1, float("nan"), float("inf")])
def test_an_expiration_that_is_no_time_from_now_is_refused(expiration: float, producer: Producer, name: str) -> None:
    with pytest.raises(KombuError, match="expiration"):
        producer.publish("x", expiration=expiration)
    assert counts(name).total == 0


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"expiration": "abc"}, "expiration='abc'"),
        ({"expiration": "5"}, "expiration='5'"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"eta": "2030-01-01"}, "eta='2030-01-01'"),
        ({"timeout": "1"}, "timeout='1'"),
        ({"confirm_timeout": "1"}, "confirm_timeout='1'"),
        ({"routing_key": 5}, "routing_key=5"),
        ({"headers": [1]}, r"headers=\[1\]"),
        ({"priority": "high"}, "priority='high'"),
        ({"priority": -1}, "priority=-1"),
        ({"priority": 256}, "priority=256"),
        ({"priority": 1.5}, "priority=1.5"),
    ],
)
def test_what_is_of_another_kind_is_refused_by_name(
    bad: dict[str, Any], named: str, producer: Producer, name: str
) -> None:
    with pytest.raises(PreconditionFailed, match=named):
        producer.publish("x", **bad)
    assert counts(name).total == 0


@pytest.mark.parametrize("where", ["routing_key", "exchange"])
def test_half_a_surrogate_pair_is_refused(where: str, producer: Producer, name: str) -> None:
    with pytest.raises(KombuError):
        producer.publish("x", **{where: "half \ud800"})
    assert counts(name).total == 0


def test_an_unknown_property_is_a_type_error(producer: Producer, name: str) -> None:
    with pytest.raises(TypeError, match="correlationid"):
        producer.publish("x", correlationid="typo")
    assert counts(name).total == 0


def test_immediate_is_refused(producer: Producer, name: str) -> None:
    with pytest.raises(NotSupported, match="immediate"):
        producer.publish("x", immediate=True)
    assert counts(name).total == 0


def test_a_body_that_cannot_be_sent_is_refused_naming_the_place(producer: Producer, name: str) -> None:
    with pytest.raises(EncodeError, match=r"\$\.items\[1\]\.price"):
        producer.publish({"items": [{"price": 1}, {"price": object()}]})
    assert counts(name).total == 0


@pytest.mark.parametrize(
    ("body", "described"),
    [
        ({"id": 1}, {"content_type": "application/json"}),
        (None, {"content_type": "text/plain"}),
        ("ü", {"content_type": "text/plain", "content_encoding": "ascii"}),
        ("x", {"content_type": "text/plain", "content_encoding": "no-such-charset"}),
        ("\ud800", {"content_type": "text/plain"}),
    ],
)
def test_a_body_that_is_not_what_its_description_says_is_refused(
    body: object, described: dict[str, Any], producer: Producer, name: str
) -> None:
    with pytest.raises(EncodeError):
        producer.publish(body, **described)
    assert counts(name).total == 0
