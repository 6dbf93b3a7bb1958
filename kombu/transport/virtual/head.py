"""The head of a stored message: exchange, routing key, properties and headers as one JSON text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from kombu.exceptions import DecodeError
from kombu.utils import json

_TEXT = (str, NoneType)


@dataclass(slots=True)
class Head:
    """What came with a body. ``properties`` are without content type, content encoding and headers."""

    exchange: str
    routing_key: str
    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    properties: dict[str, Any]


def encode_head(exchange: str, routing_key: str, properties: Mapping[str, object]) -> str:
    """Raises :class:`~kombu.exceptions.EncodeError` for a header or property that has no JSON form."""
    return json.dumps({"exchange": exchange, "routing_key": routing_key, "properties": dict(properties)})


def decode_head(head: str) -> Head:
    """Never raises: a head that others wrote in another form gives a message without properties."""
    try:
        found: Any = json.loads(head)
    except DecodeError:
        found = None
    match found:
        case {"exchange": str(exchange), "routing_key": str(routing_key), "properties": dict(properties)}:
            content_type = properties.pop("content_type", None)
            content_encoding = properties.pop("content_encoding", None)
            headers = properties.pop("headers", None) or {}
            described = isinstance(content_type, _TEXT) and isinstance(content_encoding, _TEXT)
            if described and isinstance(headers, dict):
                return Head(exchange, routing_key, content_type, content_encoding, headers, properties)
    return Head("", "", None, None, {"x-foreign-head": head}, {})
