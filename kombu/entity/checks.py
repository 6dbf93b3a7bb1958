"""What may be said of exchanges and queues: each function gives back the value, or says what is wrong with it."""

from __future__ import annotations

from math import inf

from kombu.transport.base import Arguments

__all__ = ["arguments", "milliseconds", "seconds", "text", "whole"]


def text(value: object, name: str) -> str:
    """Text; None is the empty text. Raises ValueError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}={value!r} must be text")
    return value


def arguments(value: Arguments, name: str) -> dict[str, object]:
    """A copy; None is empty. Raises ValueError for what is no mapping with text as keys."""
    try:
        given = dict(value or {})
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{name}={value!r} must be a dict of arguments") from exc
    if not all(isinstance(key, str) for key in given):
        raise ValueError(f"{name}={value!r} must have text as keys")
    return given


def seconds(value: float | None, name: str, *, least: int) -> float | None:
    """A time of at least ``least`` milliseconds, which is what travels, or None. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        raise ValueError(f"{name}={value!r} must be a number of seconds, not negative and not for ever")
    if (milliseconds(value) or 0) < least:
        raise ValueError(f"{name}={value!r} must be at least {least} ms; it is given in seconds")
    return value


def whole(value: int | None, name: str, *, most: int | None = None) -> int | None:
    """A whole number from 0 to ``most``, or None. Raises ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (most is not None and value > most):
        upper = "" if most is None else f" to {most}"
        raise ValueError(f"{name}={value!r} must be a whole number from 0{upper}")
    return value


def milliseconds(value: float | None) -> int | None:
    """Seconds as they travel."""
    return None if value is None else round(value * 1000)
