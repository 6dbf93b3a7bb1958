"""The head of a stored message: exchange, routing key, properties and headers as one JSON text.

The usual heads of a program differ in the message id only, which stands last. What stands before it is remembered both
ways, since JSON for every head would be a good part of all the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple, TypeVar

from kombu.exceptions import DecodeError
from kombu.utils import json

_TEXT = (str, NoneType)
_HEADERS = '"headers":'
"""What is not in a head that has AMQP's own properties only, which are text and small numbers."""
_usual = itemgetter("content_type", "content_encoding", "delivery_mode", "message_id")
_END = '"}}'
_MOST_REMEMBERED = 1000


class Head(NamedTuple):
    """What came with a body. ``properties`` are without content type, content encoding and headers."""

    exchange: str
    routing_key: str
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    properties: dict[str, Any]


_beginnings: dict[tuple[object, ...], str] = {}
_heads: dict[str, Head] = {}


def encode_head(exchange: str, routing_key: str, properties: Mapping[str, object]) -> str:
    """Raises :class:`~kombu.exceptions.EncodeError` for a header or property that has no JSON form."""
    if len(properties) == 4:
        try:
            content_type, content_encoding, delivery_mode, message_id = described = _usual(properties)
            beginning = _beginnings.get((exchange, routing_key, content_type, content_encoding, delivery_mode))
        except (KeyError, TypeError):
            return _encode(exchange, routing_key, properties)
        if type(delivery_mode) is int and _is_written_as_it_is(message_id):
            return f"{beginning or _begin(exchange, routing_key, described)}{message_id}{_END}"
    return _encode(exchange, routing_key, properties)


def decode_head(head: str) -> Head:
    """Never raises: a head that others wrote in another form gives a message without properties."""
    known = remembered(head)
    if known is not None:
        exchange, routing_key, content_type, content_encoding, _, _ = known
        return Head(exchange, routing_key, content_type, content_encoding, {}, properties_of(head, known))
    found = _decode(head)
    if not found.headers and _is_usual(head, found):
        _remember(_heads, head.rsplit('"', 2)[0], found._replace(properties=dict(found.properties)))
    return found


def remembered(head: str) -> Head | None:
    """Of a usual head all but the message id, to be looked at only; None where it has to be decoded."""
    parts = head.rsplit('"', 2)
    known = _heads.get(parts[0])
    return known if known is not None and parts[2] == "}}" and "\\" not in parts[1] else None


def properties_of(head: str, known: Head) -> dict[str, Any]:
    """Its own, of a head that is remembered."""
    return {**known.properties, "message_id": head.rsplit('"', 2)[1]}


def _encode(exchange: str, routing_key: str, properties: Mapping[str, object]) -> str:
    return json.dumps({"exchange": exchange, "routing_key": routing_key, "properties": properties})


def _begin(exchange: str, routing_key: str, described: tuple[object, ...]) -> str:
    content_type, content_encoding, delivery_mode, _ = described
    properties = {
        "content_type": content_type,
        "content_encoding": content_encoding,
        "delivery_mode": delivery_mode,
        "message_id": "",
    }
    beginning = _encode(exchange, routing_key, properties).removesuffix(_END)
    _remember(_beginnings, (exchange, routing_key, *described[:3]), beginning)
    return beginning


def _decode(head: str) -> Head:
    try:
        found: Any = json.loads(head) if _HEADERS in head else json.read(head)
        exchange, routing_key, properties = found["exchange"], found["routing_key"], found["properties"]
        content_type = properties.pop("content_type", None)
        content_encoding = properties.pop("content_encoding", None)
        headers = properties.pop("headers", None) or {}
    except (DecodeError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return _foreign(head)
    told = (
        isinstance(exchange, str)
        and isinstance(routing_key, str)
        and isinstance(content_type, _TEXT)
        and isinstance(content_encoding, _TEXT)
        and isinstance(headers, dict)
    )
    return Head(exchange, routing_key, content_type, content_encoding, headers, properties) if told else _foreign(head)


def _foreign(head: str) -> Head:
    return Head("", "", None, None, {"x-foreign-head": head}, {})


def _is_usual(head: str, found: Head) -> bool:
    """Whether it is one that we would remember the beginning of, and write just so."""
    described = {"content_type": found.content_type, "content_encoding": found.content_encoding, **found.properties}
    return (
        len(described) == 4
        and type(described.get("delivery_mode")) is int
        and _is_written_as_it_is(described.get("message_id"))
        and head == encode_head(found.exchange, found.routing_key, described)
    )


def _is_written_as_it_is(message_id: Any) -> bool:
    """Whether it is text that JSON has no escapes for."""
    return type(message_id) is str and message_id.isprintable() and '"' not in message_id and "\\" not in message_id


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remember(memory: dict[_K, _V], key: _K, value: _V) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value
