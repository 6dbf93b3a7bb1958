"""JSON by the standard library: what every value's JSON means is said here."""

from __future__ import annotations

import json

from kombu.exceptions import DecodeError, EncodeError
from kombu.utils.json.marked import TYPE_KEY, revive
from kombu.utils.json.plain import is_plain, plain

__all__ = ["JSONEncoder", "encode", "loads", "read"]

_QUOTED_TYPE_KEY = f'"{TYPE_KEY}"'


class JSONEncoder(json.JSONEncoder):
    """For ``json.dumps(…, cls=JSONEncoder)``: writes the types that Kombu's JSON knows as Kombu does."""

    def default(self, o: object) -> object:
        return plain(o)


def encode(obj: object) -> bytes:
    try:
        return _written(obj if is_plain(obj) else plain(obj))
    except RecursionError as exc:
        raise EncodeError("nested too deeply for JSON") from exc
    except (TypeError, ValueError) as exc:
        plain(obj)  # which names the place, as json does not
        raise EncodeError(f"no JSON form: {exc}") from exc


def loads(data: str | bytes) -> object:
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


def read(data: str | bytes) -> object:
    found: object = _DECODER.decode(data if isinstance(data, str) else str(data, "utf-8"))
    return found


def _written(obj: object) -> bytes:
    """Half a surrogate pair has no bytes in UTF-8; an escape in JSON it has."""
    try:
        return _ENCODER.encode(obj).encode("utf-8")
    except UnicodeEncodeError:
        return _ASCII_ENCODER.encode(obj).encode("ascii")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number in JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_ASCII_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_MARKED_DECODER = json.JSONDecoder(object_hook=revive, parse_constant=_refuse_constant)
