"""Text and bytes, and a text for any object, which is never an error."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

__all__ = [
    "bytes_to_str",
    "default_encode",
    "default_encoding",
    "ensure_bytes",
    "from_utf8",
    "get_default_encoding_file",
    "safe_repr",
    "safe_str",
    "set_default_encoding_file",
    "str_to_bytes",
]

T = TypeVar("T")

_encoding_file: object = None


def bytes_to_str(s: Any) -> Any:
    """Bytes as text, with a mark where they are not UTF-8; anything else as it is."""
    return bytes(s).decode("utf-8", "replace") if isinstance(s, bytes | bytearray) else s


def str_to_bytes(s: Any) -> Any:
    """Text as UTF-8; anything else as it is. Raises UnicodeEncodeError for half a surrogate pair."""
    return s.encode("utf-8") if isinstance(s, str) else s


def ensure_bytes(s: Any) -> bytes:
    """Bytes of whatever it is: text as UTF-8, another object as its text."""
    return bytes(s) if isinstance(s, bytes | bytearray | memoryview) else str(s).encode("utf-8")


def from_utf8(s: T) -> T:
    """What it is given: text has no encoding any more."""
    return s


default_encode = from_utf8


def safe_str(s: object, errors: str = "replace") -> str:
    """Text of any object; where it has none, or one that cannot be written as UTF-8, what comes nearest."""
    try:
        text = bytes(s).decode("utf-8", errors) if isinstance(s, bytes | bytearray) else str(s)
    except Exception as exc:  # noqa: BLE001 - what an object's own code raises is what the text is about
        text = _unprintable(s, exc)
    return _writable(text, errors)


def safe_repr(o: object, errors: str = "replace") -> str:
    """``repr`` of any object, never an error."""
    try:
        text = repr(o)
    except Exception as exc:  # noqa: BLE001 - what an object's own code raises is what the text is about
        text = _unprintable(o, exc)
    return _writable(text, errors)


def set_default_encoding_file(file: object) -> None:
    """The stream whose encoding :func:`default_encoding` tells; None for the standard output as it is by then."""
    global _encoding_file
    _encoding_file = file


def get_default_encoding_file() -> object:
    """What :func:`set_default_encoding_file` was given."""
    return _encoding_file


def default_encoding(file: object = None) -> str:
    """The encoding that a stream writes; the system's, where it does not say."""
    stream = file or _encoding_file or sys.stdout
    return getattr(stream, "encoding", None) or sys.getfilesystemencoding()


def _unprintable(o: object, exc: Exception) -> str:
    return f"<Unprintable {type(o).__name__!r}: {type(exc).__name__}>"


def _writable(text: str, errors: str) -> str:
    return text.encode("utf-8", errors).decode("utf-8", errors)
