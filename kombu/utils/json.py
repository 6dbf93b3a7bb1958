"""JSON as messages need it: dates, decimals, UUIDs, bytes and sets come back as what they were.

Such a value travels as a marked object, ``{"__type__": marker, "__value__": ...}``. A marker that nobody
registered is left as the plain object it is, so a newer sender does no harm. An application's own object with
exactly these two keys is sent as marker ``dict`` with a list of pairs, and comes back unharmed.

Subclasses of str, int, float, list, tuple and dict (enums and named tuples of them as well) are written as
what they extend. Other enums are their value, dataclasses an object of their fields; neither comes back.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, TypeVar
from uuid import UUID

from kombu.exceptions import DecodeError, EncodeError

__all__ = ["dumps", "loads", "register_type"]

T = TypeVar("T")

TYPE_KEY = "__type__"
VALUE_KEY = "__value__"
DICT_MARKER = "dict"

_QUOTED_TYPE_KEY = f'"{TYPE_KEY}"'
_ESCAPED_KEYS = {TYPE_KEY, VALUE_KEY}


class _Marked(dict[str, object]):
    """A marked object of ours, told apart from an application's dict that looks like one."""


def dumps(obj: object) -> str:
    """``obj`` as compact JSON text.

    Raises :class:`~kombu.exceptions.EncodeError` for NaN and the infinities, which JSON does not have
    (RFC 8259, section 6), for what has no JSON form, for what contains itself or is nested too deeply.
    """
    marked = 0

    def stand_in(value: object) -> object:
        nonlocal marked
        result = _substitute(value)
        marked += type(result) is _Marked
        return result

    try:
        text = _encoder(stand_in).encode(obj)
        if text.count(_QUOTED_TYPE_KEY) > marked:
            obj = _plain(obj, "$", set())
            text = _encoder(stand_in).encode(obj)
        if not _is_unicode(text):
            text = _encoder(stand_in, ensure_ascii=True).encode(obj)
    except EncodeError:
        raise
    except RecursionError as exc:
        raise EncodeError("nested too deeply for JSON") from exc
    except Exception as exc:
        raise _explained(obj, exc) from exc
    return text


def loads(data: str | bytes) -> object:
    """What JSON text, or its UTF-8 bytes, stands for.

    Raises :class:`~kombu.exceptions.DecodeError` with the line and column of what is not JSON.
    """
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        return (_MARKED_DECODER if _QUOTED_TYPE_KEY in text else _DECODER).decode(text)
    except json.JSONDecodeError as exc:
        raise DecodeError(f"not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
    except UnicodeDecodeError as exc:
        raise DecodeError(f"not JSON: byte {exc.start} is not UTF-8") from exc
    except RecursionError as exc:
        raise DecodeError("nested too deeply for JSON") from exc
    except ValueError as exc:
        raise DecodeError(f"not JSON that can be read: {exc}") from exc


def register_type(type: type[T], marker: str, encoder: Callable[[T], object], decoder: Callable[[Any], T]) -> None:
    """Let values of ``type`` and its subclasses travel as objects with this ``marker``.

    ``encoder`` makes of a value anything that can itself be encoded; ``decoder`` is given that back.
    Sender and receiver must both register the type. Raises ValueError for the reserved marker ``dict``.
    """
    if marker == DICT_MARKER:
        raise ValueError(f"the marker {DICT_MARKER!r} is reserved")
    _encoders[type] = lambda value: _mark(marker, encoder(value))
    _decoders[marker] = decoder


def _encoder(stand_in: Callable[[object], object], *, ensure_ascii: bool = False) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"), default=stand_in)


def _is_unicode(text: str) -> bool:
    """False when half a surrogate pair is in it: UTF-8 has no bytes for that, a JSON escape has."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _substitute(value: object) -> object:
    """What to write in place of a value that JSON does not know."""
    kind = type(value)
    if encode := _encoders.get(kind):
        return encode(value)
    if own := getattr(kind, "__json__", None):
        return own(value)
    if isinstance(value, Enum):
        return value.value
    for base in kind.__mro__:
        if encode := _encoders.get(base):
            return encode(value)
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    raise TypeError(f"a value of type {kind.__module__}.{kind.__qualname__} has no JSON form")


def _explained(obj: object, exc: Exception) -> EncodeError:
    """Walk the object again, slowly, to say where the fault is."""
    try:
        _plain(obj, "$", set())
    except EncodeError as found:
        return found
    except RecursionError:
        return EncodeError("nested too deeply for JSON")
    return EncodeError(f"no JSON form: {exc}")


def _plain(obj: object, path: str, above: set[int]) -> object:
    """The object in JSON's own types, dicts that look like marked objects escaped; errors name the path."""
    if obj is None or isinstance(obj, (str, int)):
        return obj
    if isinstance(obj, float):
        return _finite(obj, path)
    if id(obj) in above:
        raise EncodeError(f"{path} contains itself")
    above.add(id(obj))
    try:
        return _plain_container(obj, path, above)
    finally:
        above.discard(id(obj))


def _plain_container(obj: object, path: str, above: set[int]) -> object:
    if type(obj) is _Marked:
        return _mark(str(obj[TYPE_KEY]), _plain(obj[VALUE_KEY], path, above))
    if isinstance(obj, dict):
        plain = {_key(key, path): _plain(value, path + _step(key), above) for key, value in obj.items()}
        return _mark(DICT_MARKER, list(plain.items())) if plain.keys() == _ESCAPED_KEYS else plain
    if isinstance(obj, (list, tuple)):
        return [_plain(value, f"{path}[{index}]", above) for index, value in enumerate(obj)]
    return _plain(_substituted(obj, path), path, above)


def _substituted(obj: object, path: str) -> object:
    try:
        return _substitute(obj)
    except Exception as exc:
        reason = str(exc) if isinstance(exc, TypeError) else f"{type(obj).__qualname__}: {exc!r}"
        raise EncodeError(f"{reason}: {path}") from exc


def _finite(number: float, path: str) -> float:
    if not isfinite(number):
        raise EncodeError(f"{number!r} is not a JSON number: {path}")
    return number


def _key(key: object, path: str) -> str | int | float | None:
    if isinstance(key, float):
        return _finite(key, path)
    if key is None or isinstance(key, (str, int)):
        return key
    raise EncodeError(f"a key of type {type(key).__qualname__} has no JSON form: {path}")


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _mark(marker: str, value: object) -> _Marked:
    return _Marked({TYPE_KEY: marker, VALUE_KEY: value})


def _revive(found: dict[str, Any]) -> object:
    if len(found) != 2 or found.keys() != _ESCAPED_KEYS:
        return found
    marker = found[TYPE_KEY]
    decode = _decoders.get(marker) if isinstance(marker, str) else None
    if decode is None:
        return found
    try:
        return decode(found[VALUE_KEY])
    except Exception as exc:
        raise DecodeError(f"not a value of type {marker!r}: {exc}") from exc


def _mark_bytes(value: bytes) -> _Marked:
    """Text stays readable in a queue's admin page; the rest is base64."""
    try:
        return _mark("bytes", value.decode("utf-8"))
    except UnicodeDecodeError:
        return _mark("base64", b2a_base64(value, newline=False).decode("ascii"))


def _members(value: set[object] | frozenset[object]) -> list[object]:
    for member in value:
        if is_dataclass(member):
            raise TypeError(f"a set of {type(member).__qualname__} could not be read back, a list can")
    return list(value)


def _hashable(value: object) -> object:
    """A list inside a set was a tuple once."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


_encoders: dict[type, Callable[[Any], _Marked]] = {bytes: _mark_bytes}
_decoders: dict[str, Callable[[Any], object]] = {
    DICT_MARKER: dict,
    "bytes": str.encode,
    "base64": a2b_base64,
}


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_MARKED_DECODER = json.JSONDecoder(object_hook=_revive, parse_constant=_refuse_constant)

register_type(datetime, "datetime", datetime.isoformat, datetime.fromisoformat)
register_type(date, "date", date.isoformat, date.fromisoformat)
register_type(time, "time", time.isoformat, time.fromisoformat)
register_type(timedelta, "timedelta", lambda d: [d.days, d.seconds, d.microseconds], lambda v: timedelta(*v))
register_type(Decimal, "decimal", Decimal.__str__, lambda v: Decimal(str(v)))
register_type(UUID, "uuid", UUID.__str__, UUID)
register_type(set, "set", _members, lambda v: set(map(_hashable, v)))
register_type(frozenset, "frozenset", _members, lambda v: frozenset(map(_hashable, v)))
