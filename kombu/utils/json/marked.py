"""The types that travel as marked objects, and how each is taken apart and put together."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from kombu.exceptions import DecodeError

__all__ = [
    "DICT_MARKER",
    "KEYS",
    "SET_MARKERS",
    "TYPE_KEY",
    "VALUE_KEY",
    "Marked",
    "NoStandIn",
    "register_type",
    "revive",
    "stand_in",
]

T = TypeVar("T")

TYPE_KEY = "__type__"
VALUE_KEY = "__value__"
KEYS = {TYPE_KEY, VALUE_KEY}
DICT_MARKER = "dict"
SET_MARKERS = ("set", "frozenset")

_CONVERSIONS: dict[type, Callable[[Any], object]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_JSON_TYPES = (*_CONVERSIONS, list, tuple, dict)


class NoStandIn(TypeError):
    """A value of this type has no JSON form."""


class Marked(NamedTuple):
    """A value that travels with the name of its type; what it was taken apart to may need the same again."""

    marker: str
    value: object


def register_type(type: type[T], marker: str, encoder: Callable[[T], object], decoder: Callable[[Any], T]) -> None:
    """Let values of ``type`` and its subclasses travel as objects with this ``marker``.

    ``encoder`` makes of a value anything that can itself be encoded; ``decoder`` is given that back.
    Sender and receiver must both register the type. A subclass of str, int, float, list, tuple or dict, and an
    enum, has to be registered itself. Raises ValueError for the reserved marker ``dict``, for one that is no text,
    and for a type that JSON has itself.
    """
    if marker == DICT_MARKER or not isinstance(marker, str) or not marker:
        raise ValueError(f"the marker {marker!r} is reserved or no text")
    if type in _JSON_TYPES or type in (bool, NoneType):
        raise ValueError(f"{type.__name__} is one of JSON's own types and travels as it is")
    _encoders[type] = lambda value: Marked(marker, encoder(value))
    _decoders[marker] = decoder


def stand_in(value: object) -> object:
    """What to write in place of a value that is not of JSON's own types: perhaps a :class:`Marked`.

    Raises :class:`NoStandIn` where there is nothing.
    """
    kind = type(value)
    if encode := _encoders.get(kind):
        return encode(value)
    if own := getattr(kind, "__json__", None):
        return own(value)
    if isinstance(value, Enum):
        return value.value
    for base in kind.__mro__:
        if base in _JSON_TYPES:
            return _as_base(value, base)
        if encode := _encoders.get(base):
            return encode(value)
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise NoStandIn(f"a value of type {kind.__module__}.{kind.__qualname__} has no JSON form")


def revive(found: dict[str, Any]) -> object:
    """What a marked object stands for; any other object is given back as it is."""
    if len(found) != 2 or found.keys() != KEYS:
        return found
    marker = found[TYPE_KEY]
    decode = _decoders.get(marker) if isinstance(marker, str) else None
    if decode is None:
        return found
    try:
        return decode(found[VALUE_KEY])
    except Exception as exc:
        raise DecodeError(f"not a value of type {marker!r}: {exc}") from exc


def _as_base(value: Any, base: type) -> object:
    """The value in JSON's own type; a subclass may have overridden its own conversion."""
    if base is dict:
        return dict(value.items())
    if base is list or base is tuple:
        return list(value)
    return _CONVERSIONS[base](value)


def _mark_bytes(value: bytes | bytearray | memoryview) -> Marked:
    """Text stays readable in a queue's admin page; the rest is base64."""
    raw = bytes(value)
    try:
        return Marked("bytes", raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Marked("base64", b2a_base64(raw, newline=False).decode("ascii"))


def _hashable(value: object) -> object:
    """A list inside a set was a tuple once."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list is needed, not {type(value).__name__}")
    return value


def _duration(value: object) -> timedelta:
    days, seconds, microseconds = _list(value)
    return timedelta(days, seconds, microseconds)


_encoders: dict[type, Callable[[Any], Marked]] = dict.fromkeys((bytes, bytearray, memoryview), _mark_bytes)
_decoders: dict[str, Callable[[Any], object]] = {
    DICT_MARKER: lambda pairs: dict(map(_list, _list(pairs))),
    "bytes": str.encode,
    "base64": lambda text: a2b_base64(text, strict_mode=True),
}

register_type(datetime, "datetime", datetime.isoformat, datetime.fromisoformat)
register_type(date, "date", date.isoformat, date.fromisoformat)
register_type(time, "time", time.isoformat, time.fromisoformat)
register_type(timedelta, "timedelta", lambda d: [d.days, d.seconds, d.microseconds], _duration)
register_type(Decimal, "decimal", Decimal.__str__, lambda v: Decimal(str(v)))
register_type(UUID, "uuid", UUID.__str__, UUID)
register_type(set, "set", list, lambda v: set(map(_hashable, _list(v))))
register_type(frozenset, "frozenset", list, lambda v: frozenset(map(_hashable, _list(v))))
