"""JSON by orjson, for what it writes and reads exactly as the standard library does; that does the rest."""

from __future__ import annotations

import orjson

from kombu.exceptions import DecodeError, EncodeError
from kombu.utils.json import stdlib
from kombu.utils.json.plain import is_plain, plain

__all__ = ["encode", "loads", "read"]

_write = orjson.dumps
read = orjson.loads


def encode(obj: object) -> bytes:
    """orjson refuses integers of more than 64 bits, half surrogate pairs, and keys that are not text.

    Its bytes keep 4 KiB of memory each, however short they are; a copy keeps what it needs.
    """
    try:
        return b"".join((_write(obj if is_plain(obj) else plain(obj)), b""))
    except RecursionError as exc:
        raise EncodeError("nested too deeply for JSON") from exc
    except TypeError:
        return stdlib.encode(obj)


def loads(data: str | bytes) -> object:
    """orjson refuses half surrogate pairs and makes floats of integers of more than 64 bits."""
    try:
        found = read(data)
        if is_plain(found):
            return found
    except RecursionError as exc:
        raise DecodeError("nested too deeply for JSON") from exc
    except ValueError:
        return stdlib.loads(data)
    return stdlib.loads(data)
