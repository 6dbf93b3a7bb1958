"""What no broker could mean is refused where it is written, naming the argument and the value."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kombu import Connection, Exchange, Queue, binding
from kombu.exceptions import NotSupported

NOT_SECONDS = [-1, -0.001, math.nan, math.inf, True, "5", [], 1j]
NOT_WHOLE = [-1, 1.5, 10.0, True, False, "5", math.nan]


@pytest.mark.parametrize("name", ["expires", "message_ttl"])
@pytest.mark.parametrize("value", NOT_SECONDS)
def test_a_time_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.* must be a number of seconds") as caught:
        Queue("q", **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["max_length", "max_length_bytes", "max_priority"])
@pytest.mark.parametrize("value", NOT_WHOLE)
def test_a_size_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name}=.* must be a whole number from 0") as caught:
        Queue("q", **{name: value})
    assert repr(value) in str(caught.value)


def test_the_limits_are_what_brokers_take() -> None:
    queue = Queue("q", expires=0.001, message_ttl=0, max_length=0, max_length_bytes=0, max_priority=255)
    assert queue.arguments == {
        "x-expires": 1,
        "x-message-ttl": 0,
        "x-max-length": 0,
        "x-max-length-bytes": 0,
        "x-max-priority": 255,
    }
    with pytest.raises(ValueError, match="max_priority=256 must be a whole number from 0 to 255"):
        Queue("q", max_priority=256)
    for nothing in (0, 0.0004):
        with pytest.raises(ValueError, match=r"expires=.* must be at least 1 ms"):
            Queue("q", expires=nothing)


@pytest.mark.parametrize("value", [5, b"q", ["q"], object()])
def test_a_name_that_is_no_text_is_refused(value: Any) -> None:
    for make in (Queue, Exchange):
        with pytest.raises(ValueError, match=r"name=.* must be text"):
            make(value)
    for use in (lambda: Queue("q", routing_key=value), lambda: binding("e", value)):
        with pytest.raises(ValueError, match=r"routing_key=.* must be text"):
            use()
    with pytest.raises(ValueError, match=r"type=.* must be text"):
        Exchange("e", value)


@pytest.mark.parametrize("value", [5, b"e", object(), Queue("q")])
def test_an_exchange_that_is_none_is_refused(value: Any) -> None:
    for make in (lambda: Queue("q", value), lambda: binding(value)):
        with pytest.raises(ValueError, match=r"exchange=.* must be text"):
            make()


def test_none_is_what_is_usual() -> None:
    nothing: Any = None
    assert Queue(nothing, routing_key=nothing, queue_arguments=nothing) == Queue()
    assert Exchange(nothing, nothing, arguments=nothing) == Exchange("", "direct")
    assert binding("e", nothing) == binding("e")


@pytest.mark.parametrize("name", ["queue_arguments", "binding_arguments", "consumer_arguments"])
@pytest.mark.parametrize("value", ["x-expires", 5, [1], {5: 1}])
def test_arguments_that_are_no_dict_with_text_as_keys_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Queue("q", **{name: value})


@pytest.mark.parametrize("value", [5, "news", ["news"], [("news", "k")], [None], Exchange("news")])
def test_bindings_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"binding|iterable"):
        Queue("q", bindings=value)


@pytest.mark.parametrize("mode", [True, False, "durable", 3, 1.5])
def test_a_delivery_mode_that_is_none_is_refused(mode: Any) -> None:
    for use in (lambda: Exchange("e", delivery_mode=mode), lambda: Exchange("e").Message("x", delivery_mode=mode)):
        with pytest.raises(ValueError, match="delivery_mode="):
            use()


def test_a_type_that_the_broker_does_not_have_is_refused_when_it_is_declared(connection: Connection) -> None:
    exotic = Exchange("e", "x-consistent-hash")
    assert exotic.type == "x-consistent-hash"
    with pytest.raises(NotSupported, match="x-consistent-hash"):
        exotic(connection).declare()
