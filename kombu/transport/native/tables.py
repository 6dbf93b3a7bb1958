"""AMQP's field tables, as RabbitMQ has them (https://www.rabbitmq.com/amqp-0-9-1-errata#section_3), both ways.

A value that a table has no type for (a date, a UUID, a datetime with microseconds or another zone than UTC, a Decimal
of many digits) travels as the marked table that :mod:`kombu.utils.json` would write, and comes back as what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct, error, pack
from typing import Any

from kombu.exceptions import DecodeError, EncodeError
from kombu.utils.json.marked import DICT_MARKER, KEYS, TYPE_KEY, VALUE_KEY, Marked, NoStandIn, revive, stand_in

__all__ = ["MAX_SHORT", "decode_table", "encode_table", "short_string"]

MAX_SHORT = 255
"""Bytes in a short string: a name, a routing key, a table's key."""

_MAX_DEPTH = 200
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)
_SMALL = dict[str, Struct](
    b=Struct(">b"),
    B=Struct(">B"),
    s=Struct(">h"),
    U=Struct(">h"),
    u=Struct(">H"),
    I=Struct(">i"),
    i=Struct(">I"),
    l=Struct(">q"),
    L=Struct(">q"),
    f=Struct(">f"),
    d=Struct(">d"),
)
_LENGTH = Struct(">I")
_DECIMAL = Struct(">Bi")
_TIME = Struct(">Q")


def encode_table(table: Mapping[Any, object]) -> bytes:
    """With its length in front. Raises :class:`~kombu.exceptions.EncodeError`, naming the place."""
    return _table(table, [])


def decode_table(buffer: bytes, offset: int = 0) -> tuple[dict[str, Any], int]:
    """The table that begins there, and where it ends. Raises :class:`~kombu.exceptions.DecodeError`."""
    try:
        return _read_table(buffer, offset, 0)
    except (error, IndexError, ValueError, OverflowError) as exc:
        raise DecodeError(f"not a field table: {exc}") from exc


def short_string(text: str, what: str) -> bytes:
    """Its bytes with their length in front. Raises :class:`~kombu.exceptions.EncodeError` for too many."""
    try:
        raw = text.encode()
    except UnicodeEncodeError as exc:
        raise EncodeError(f"{what} has no UTF-8 form: {exc}") from exc
    if len(raw) > MAX_SHORT:
        raise EncodeError(f"{what} has {len(raw)} bytes, AMQP allows {MAX_SHORT}: {text[:40]!r}…")
    return bytes((len(raw),)) + raw


def _table(table: Mapping[Any, object], steps: list[str]) -> bytes:
    parts = []
    for key, value in table.items():
        name = key if type(key) is str else _key(key, steps)
        steps.append(name)
        parts.append(short_string(name, f"the name of header {_place(steps)}"))
        parts.append(_field(value, steps))
        steps.pop()
    made = b"".join(parts)
    return _LENGTH.pack(len(made)) + made


def _key(key: object, steps: list[str]) -> str:
    """Of another type than text, as JSON writes it."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, (int, float)):
        return json.dumps(key)
    raise EncodeError(f"header {_place([*steps, repr(key)])}: a key is text, not {type(key).__name__}")


def _field(value: Any, steps: list[str]) -> bytes:
    """Letter and value."""
    if len(steps) > _MAX_DEPTH:
        raise EncodeError(f"header {steps[0]!r} is nested deeper than {_MAX_DEPTH} levels, or contains itself")
    made = _WRITERS.get(type(value))
    if made is not None:
        written = made(value, steps)
        if written is not None:
            return written
    return _stand_in(value, steps)


def _stand_in(value: object, steps: list[str]) -> bytes:
    try:
        other = stand_in(value)
    except NoStandIn as exc:
        raise EncodeError(f"header {_place(steps)}: {exc}, so it cannot be sent") from exc
    if type(other) is Marked:
        return b"F" + _table({TYPE_KEY: other.marker, VALUE_KEY: other.value}, steps)
    return _field(other, steps)


def _integer(value: int, steps: list[str]) -> bytes:
    if value in _INT32:
        return pack(">ci", b"I", value)
    if value in _INT64:
        return pack(">cq", b"l", value)
    raise EncodeError(f"header {_place(steps)}: {value} has more than 64 bits")


def _text(value: str, steps: list[str]) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError as exc:
        raise EncodeError(f"header {_place(steps)} has no UTF-8 form: {exc}") from exc
    return b"S" + _LENGTH.pack(len(raw)) + raw


def _bytes(value: bytes | bytearray, steps: list[str]) -> bytes:
    return b"x" + _LENGTH.pack(len(value)) + bytes(value)


def _decimal(value: Decimal, steps: list[str]) -> bytes | None:
    """None where its sign, digits or exponent do not fit: RabbitMQ keeps 32 bits of digits."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -255 <= exponent <= 0 or (sign and not any(digits)):
        return None
    whole = int("".join(map(str, digits)))
    return b"D" + _DECIMAL.pack(-exponent, -whole if sign else whole) if whole < 2**31 else None


def _datetime(value: datetime, steps: list[str]) -> bytes | None:
    """None for what a table's seconds in UTC do not tell."""
    if value.tzinfo is not UTC or value.microsecond or value.year < 1970:
        return None
    return b"T" + _TIME.pack(int(value.timestamp()))


def _list(value: Sequence[object], steps: list[str]) -> bytes:
    parts = []
    for index, each in enumerate(value):
        steps.append(str(index))
        parts.append(_field(each, steps))
        steps.pop()
    made = b"".join(parts)
    return b"A" + _LENGTH.pack(len(made)) + made


def _dict(value: dict[Any, object], steps: list[str]) -> bytes:
    if value.keys() == KEYS:  # an application's own, not one of ours
        value = {TYPE_KEY: DICT_MARKER, VALUE_KEY: [list(pair) for pair in value.items()]}
    return b"F" + _table(value, steps)


_WRITERS: dict[type, Callable[[Any, list[str]], bytes | None]] = {
    str: _text,
    int: _integer,
    bool: lambda value, steps: b"t\x01" if value else b"t\x00",
    type(None): lambda value, steps: b"V",
    float: lambda value, steps: pack(">cd", b"d", value),
    bytes: _bytes,
    bytearray: _bytes,
    Decimal: _decimal,
    datetime: _datetime,
    list: _list,
    tuple: _list,
    dict: _dict,
}


def _place(steps: list[str]) -> str:
    return repr(".".join(steps))


def _read_table(buffer: bytes, offset: int, depth: int) -> tuple[dict[str, Any], int]:
    end = offset + 4 + _LENGTH.unpack_from(buffer, offset)[0]
    offset += 4
    if end > len(buffer) or depth > _MAX_DEPTH:
        raise ValueError("longer or deeper than it may be")
    found: dict[str, Any] = {}
    while offset < end:
        start = offset + 1
        offset = start + buffer[offset]
        key = buffer[start:offset].decode("utf-8", "backslashreplace")
        found[key], offset = _read_field(buffer, offset, depth)
    return found, end


def _read_field(buffer: bytes, offset: int, depth: int) -> tuple[Any, int]:
    kind = chr(buffer[offset])
    offset += 1
    if kind in "Sx":
        start = offset + 4
        end = start + _LENGTH.unpack_from(buffer, offset)[0]
        if end > len(buffer):
            raise ValueError("a text that is longer than its table")
        raw = bytes(buffer[start:end])
        return (_text_or_bytes(raw) if kind == "S" else raw), end
    if kind == "t":
        return buffer[offset] != 0, offset + 1
    if kind in _SMALL:
        form = _SMALL[kind]
        return form.unpack_from(buffer, offset)[0], offset + form.size
    if kind == "F":
        table, end = _read_table(buffer, offset, depth + 1)
        return _revived(table), end
    return _read_rare(kind, buffer, offset, depth)


def _read_rare(kind: str, buffer: bytes, offset: int, depth: int) -> tuple[Any, int]:
    if kind == "V":
        return None, offset
    if kind == "A":
        return _read_list(buffer, offset, depth + 1)
    if kind == "T":
        return _moment(_TIME.unpack_from(buffer, offset)[0]), offset + _TIME.size
    if kind == "D":
        scale, whole = _DECIMAL.unpack_from(buffer, offset)
        return Decimal(whole).scaleb(-scale), offset + _DECIMAL.size
    raise ValueError(f"no field has the type {kind!r}")


def _read_list(buffer: bytes, offset: int, depth: int) -> tuple[list[Any], int]:
    end = offset + 4 + _LENGTH.unpack_from(buffer, offset)[0]
    offset += 4
    if end > len(buffer) or depth > _MAX_DEPTH:
        raise ValueError("longer or deeper than it may be")
    found = []
    while offset < end:
        value, offset = _read_field(buffer, offset, depth)
        found.append(value)
    return found, end


def _text_or_bytes(raw: bytes) -> str | bytes:
    """Some clients send bytes as text, which they are not."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _moment(seconds: int) -> datetime | int:
    """A number where others wrote milliseconds, which would be after the year 9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _revived(table: dict[str, Any]) -> object:
    """What others put between our marks, and is no such value, stays the table it is."""
    try:
        return revive(table)
    except DecodeError:
        return table
