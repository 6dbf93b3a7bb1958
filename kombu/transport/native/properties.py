"""The properties of AMQP's basic class (AMQP 0-9-1, section 1.8), from a content to its header frame and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from struct import Struct, error
from typing import Any, NamedTuple

from kombu.exceptions import DecodeError, EncodeError
from kombu.transport.native.tables import decode_table, encode_table, short_string

__all__ = ["FOREIGN", "NAMES", "checked", "decode_properties", "encode_properties", "readable"]

FOREIGN = "x-foreign-head"
"""The header that holds the properties of a message, as text, where they could not be read."""

_FLAGS = Struct(">H")
_LONG_LONG = Struct(">Q")
_TOP = 2**64


class _Property(NamedTuple):
    name: str
    flag: int
    write: Callable[[Any, str], bytes]
    read: Callable[[bytes, int], tuple[Any, int]]


def encode_properties(properties: Mapping[str, object]) -> bytes:
    """Flags and values, as they stand in a header frame behind the size of the body.

    Raises :class:`~kombu.exceptions.EncodeError`, naming the property, for what AMQP cannot carry.
    """
    flags, parts = 0, [b""]
    for name, flag, write, _ in _PROPERTIES:
        value = properties.get(name)
        if value is not None:
            flags |= flag
            parts.append(write(value, name))
    parts[0] = _FLAGS.pack(flags)
    return b"".join(parts)


def decode_properties(buffer: bytes, offset: int = 0) -> dict[str, Any]:
    """Those that are there, headers among them. Raises :class:`~kombu.exceptions.DecodeError`."""
    try:
        (flags,) = _FLAGS.unpack_from(buffer, offset)
        offset += 2
        found = {}
        for name, flag, _, read in _PROPERTIES:
            if flags & flag:
                found[name], offset = read(buffer, offset)
    except (error, IndexError, RecursionError) as exc:
        raise DecodeError(f"not the properties of a message: {exc}") from exc
    return found


def readable(buffer: bytes, offset: int = 0) -> dict[str, Any]:
    """Never raises: what others wrote in a form that cannot be read is the header :data:`FOREIGN`."""
    try:
        return decode_properties(buffer, offset)
    except DecodeError:
        return {"headers": {FOREIGN: bytes(buffer[offset:]).decode("latin-1")}}


def checked(properties: Mapping[str, object]) -> dict[str, object]:
    """The properties for a driver that writes them itself, without those that are None.

    Raises what :func:`encode_properties` raises. A ``timestamp`` is whole seconds since 1970.
    """
    encode_properties(properties)
    found = {name: properties[name] for name in NAMES if properties.get(name) is not None}
    if "timestamp" in found:
        found["timestamp"] = _seconds(found["timestamp"], "timestamp")
    return found


def _write_text(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        value = str(value)
    return short_string(value, f"the property {name}")


def _write_octet(value: object, name: str) -> bytes:
    if not isinstance(value, int) or not 0 <= value <= 255:
        raise EncodeError(f"{name}={value!r}: a whole number from 0 to 255")
    return bytes((value,))


def _write_time(value: object, name: str) -> bytes:
    return _LONG_LONG.pack(_seconds(value, name))


def _seconds(value: object, name: str) -> int:
    seconds = value.timestamp() if isinstance(value, datetime) else value
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < _TOP:
        raise EncodeError(f"{name}={value!r}: seconds since 1970, or a datetime")
    return int(seconds)


def _write_expiration(value: object, name: str) -> bytes:
    text = str(value)
    if not (text.isascii() and text.isdecimal()):
        raise EncodeError(f"{name}={value!r} must be milliseconds as text")
    return _write_text(text, name)


def _write_headers(value: object, name: str) -> bytes:
    if not isinstance(value, Mapping):
        raise EncodeError(f"{name} must be a mapping, not {type(value).__name__}")
    return encode_table(value)


def _read_text(buffer: bytes, offset: int) -> tuple[str, int]:
    start = offset + 1
    end = start + buffer[offset]
    if end > len(buffer):
        raise IndexError("a text that is longer than its frame")
    return str(buffer[start:end], "utf-8", "backslashreplace"), end


def _read_octet(buffer: bytes, offset: int) -> tuple[int, int]:
    return buffer[offset], offset + 1


def _read_time(buffer: bytes, offset: int) -> tuple[int, int]:
    return _LONG_LONG.unpack_from(buffer, offset)[0], offset + 8


_PROPERTIES = (
    _Property("content_type", 0x8000, _write_text, _read_text),
    _Property("content_encoding", 0x4000, _write_text, _read_text),
    _Property("headers", 0x2000, _write_headers, decode_table),
    _Property("delivery_mode", 0x1000, _write_octet, _read_octet),
    _Property("priority", 0x0800, _write_octet, _read_octet),
    _Property("correlation_id", 0x0400, _write_text, _read_text),
    _Property("reply_to", 0x0200, _write_text, _read_text),
    _Property("expiration", 0x0100, _write_expiration, _read_text),
    _Property("message_id", 0x0080, _write_text, _read_text),
    _Property("timestamp", 0x0040, _write_time, _read_time),
    _Property("type", 0x0020, _write_text, _read_text),
    _Property("user_id", 0x0010, _write_text, _read_text),
    _Property("app_id", 0x0008, _write_text, _read_text),
    _Property("cluster_id", 0x0004, _write_text, _read_text),
)

NAMES = tuple(each.name for each in _PROPERTIES)
"""In the order of the header frame."""
