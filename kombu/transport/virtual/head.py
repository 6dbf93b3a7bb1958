"""The head of a stored message: exchange, routing key, properties and headers as one JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, NamedTuple

from kombu.exceptions import DecodeError
from kombu.utils import json

_TEXT = (str, NoneType)
_HEADERS = '"headers":'
"""What is not in a head that has AMQP's own properties only, which are text and small numbers."""


class Head(NamedTuple):
    """What came with a body. ``properties`` are without content type, content encoding and headers."""

    exchange: str
    routing_key: str
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    properties: dict[str, Any]


def encode_head(exchange: str, routing_key: str, properties: Mapping[str, object]) -> str:
    """Raises :class:`~kombu.exceptions.EncodeError` for a header or property that has no JSON form."""
    return json.dumps({"exchange": exchange, "routing_key": routing_key, "properties": properties})


def decode_head(head: str) -> Head:
    """Never raises: a head that others wrote in another form gives a message without properties."""
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
