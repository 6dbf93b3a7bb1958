"""JSON as messages need it: dates, decimals, UUIDs, bytes and sets come back as what they were.

Such a value travels as a marked object, ``{"__type__": marker, "__value__": ...}``:

============================  ============================  ===============================================
value                         ``__type__``                  ``__value__``
============================  ============================  ===============================================
datetime, date, time          datetime, date, time          ISO 8601; of a time zone, its offset
timedelta                     timedelta                     [days, seconds, microseconds]
Decimal, UUID                 decimal, uuid                 text
bytes, bytearray, memoryview  bytes, or base64              the text where it is UTF-8, or base64 of it; bytes
set, frozenset                set, frozenset                list of the members; a tuple in it stays one
what is registered            see :func:`register_type`     what its encoder gave
============================  ============================  ===============================================

A marker that nobody registered is left as the plain object it is, so a newer sender does no harm. An application's
own object with exactly these two keys is sent as marker ``dict`` with a list of pairs, and comes back unharmed.

What an object's ``__json__()`` gives is written in its place. An enum is written as its value, a dataclass as an
object of its fields, a tuple as a list, other subclasses of JSON's own types as what they extend: none of these come
back, unless the type is registered. Keys are text; None, a number or a truth value becomes its JSON text.

orjson does the work where it is installed, and the standard library what orjson would do differently: the meaning is
the same. ``KOMBU_JSON=orjson`` or ``stdlib`` in the environment says which.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from kombu.exceptions import SerializerNotInstalled
from kombu.utils.json import stdlib
from kombu.utils.json.marked import register_type
from kombu.utils.json.stdlib import JSONEncoder

__all__ = ["Engine", "JSONEncoder", "dumps", "encode", "engine", "loads", "read", "register_type"]

_MODULES = {"orjson": "kombu.utils.json.fast", "stdlib": "kombu.utils.json.stdlib"}


class Engine(NamedTuple):
    """What does the work."""

    encode: Callable[[object], bytes]
    loads: Callable[[str | bytes], object]
    read: Callable[[str | bytes], object]


def engine(name: str | None = None) -> Engine:
    """The engine of that name, ``orjson`` or ``stdlib``; without one, orjson where it is installed.

    Raises :class:`~kombu.exceptions.SerializerNotInstalled` for another name, or where orjson is missing.
    """
    if name and name not in _MODULES:
        raise SerializerNotInstalled(f"KOMBU_JSON={name!r}: no such JSON engine; known are {', '.join(_MODULES)}")
    try:
        module = import_module(_MODULES[name or "orjson"])
    except ImportError as exc:
        if name:
            raise SerializerNotInstalled(f"KOMBU_JSON={name}: pip install 'kombu[fast]', or unset it") from exc
        module = stdlib
    return Engine(module.encode, module.loads, module.read)


_chosen = engine(os.environ.get("KOMBU_JSON"))

encode = _chosen.encode
"""An object as compact JSON in UTF-8.

Raises :class:`~kombu.exceptions.EncodeError`, naming the place, for NaN and the infinities, which JSON does not have
(RFC 8259, section 6), for what has no JSON form, and for what contains itself or is nested deeper than 200 levels.
"""

loads = _chosen.loads
"""What JSON text, or its UTF-8 bytes, stands for.

Raises :class:`~kombu.exceptions.DecodeError` with the line and column of what is not JSON.
"""

read = _chosen.read
"""What JSON stands for that is known to have no marked objects and no integers of more than 64 bits: the quick way.

Raises ValueError for what is not JSON.
"""


def dumps(obj: object) -> str:
    """An object as compact JSON text; raises what :func:`encode` raises."""
    return encode(obj).decode("utf-8")
