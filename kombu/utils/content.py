"""What a content type and a content encoding say about bytes."""

from __future__ import annotations

import codecs

from kombu.exceptions import DecodeError, EncodeError

__all__ = ["media_type", "text_if_it_is", "text_or_bytes", "usual_encoding", "utf8"]

_BINARY = frozenset({"binary", "ascii-8bit"})
_SLOW_CHARSETS = frozenset({"idna", "punycode"})
"""Codecs that take quadratic time; they are for host names."""


def media_type(content_type: str | None) -> str:
    """Without parameters and in lower case: ``Application/JSON; charset=utf-8`` is JSON (RFC 9110, 8.3.1)."""
    if not content_type:
        return "application/data"
    return content_type.partition(";")[0].strip().lower()


def usual_encoding(content_type: str | None) -> str:
    """Of a body without a content encoding: UTF-8 for what is known to be text, which no content type says too."""
    kind = media_type(content_type)
    is_text = not content_type or kind == "application/text" or kind.startswith("text/")
    return "utf-8" if is_text else "binary"


def text_or_bytes(data: str | bytes, encoding: str) -> str | bytes:
    """Text by its charset, bytes where the encoding is binary. Raises :class:`~kombu.exceptions.DecodeError`."""
    encoding = encoding.lower()
    if isinstance(data, str) or encoding in _BINARY:
        return data
    try:
        if encoding != "utf-8" and codecs.lookup(encoding).name in _SLOW_CHARSETS:
            raise LookupError(f"{encoding} is for host names")
        return str(data, encoding)
    except LookupError as exc:
        raise DecodeError(f"the content encoding {encoding[:40]!r} is not a charset") from exc
    except ValueError as exc:
        raise DecodeError(f"the body is not {encoding[:40]} text: {exc}") from exc


def text_if_it_is(data: str | bytes) -> str | bytes:
    """Of a body that nothing is said about: UTF-8 text, or else the bytes."""
    try:
        return data if isinstance(data, str) else str(data, "utf-8")
    except ValueError:
        return data


def utf8(text: str) -> bytes:
    """Raises :class:`~kombu.exceptions.EncodeError` for half a surrogate pair."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise EncodeError(f"the text has no UTF-8 form: {exc}") from exc
