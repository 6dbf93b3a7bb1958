"""What the arguments of ``publish`` become on the way to a broker: bytes, milliseconds, properties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import inf
from numbers import Real
from typing import Any

from kombu.entity import Queue
from kombu.exceptions import EncodeError, PreconditionFailed

__all__ = [
    "PROPERTIES",
    "as_bytes",
    "basic_properties",
    "check_priority",
    "check_text",
    "check_timeout",
    "milliseconds",
    "own_headers",
    "seconds_until",
    "sooner",
]

PROPERTIES = frozenset(
    {"correlation_id", "reply_to", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"}
)
"""The properties of AMQP's basic class that :meth:`Producer.publish` takes by their own name."""


def as_bytes(body: Any, content_type: str, content_encoding: str | None) -> bytes:
    """A body that is text or bytes already, as bytes."""
    if isinstance(body, str):
        return _encoded(body, content_encoding or "utf-8")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    kind = type(body).__name__
    raise EncodeError(f"content_type={content_type!r} is for a body that is text or bytes already, not {kind}")


def _encoded(body: str, content_encoding: str) -> bytes:
    try:
        return body.encode("utf-8" if content_encoding == "binary" else content_encoding)
    except (LookupError, UnicodeEncodeError) as exc:
        raise EncodeError(f"the body cannot be encoded as {content_encoding!r}: {exc}") from exc


def milliseconds(expiration: float) -> str:
    if not isinstance(expiration, Real) or not 0 <= expiration < inf:
        raise PreconditionFailed(f"expiration={expiration!r}: seconds from now, not negative and not for ever")
    return str(round(expiration * 1000))


def check_priority(priority: int) -> None:
    """An octet in AMQP."""
    if type(priority) is not int or not 0 <= priority <= 255:
        raise PreconditionFailed(f"priority={priority!r}: a whole number from 0 to 255, higher is first")


def check_timeout(name: str, timeout: float | None) -> None:
    if timeout is not None and not isinstance(timeout, Real):
        raise PreconditionFailed(f"{name}={timeout!r}: seconds, or None")


def check_text(name: str, text: str) -> None:
    """AMQP's names are UTF-8."""
    if not isinstance(text, str):
        raise PreconditionFailed(f"{name}={text!r}: text is needed")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise PreconditionFailed(f"{name}={text!r:.100} has no UTF-8 form: {exc.reason}") from exc


def own_headers(headers: Mapping[str, object] | None) -> dict[str, object]:
    """A copy."""
    if headers and not isinstance(headers, Mapping):
        raise PreconditionFailed(f"headers={headers!r:.100}: a mapping of names to values is needed")
    return dict(headers or {})


def sooner(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def seconds_until(delay: float | timedelta, eta: datetime | None) -> float:
    """From now on; a moment that has passed is now."""
    if not isinstance(delay, timedelta | Real):
        raise PreconditionFailed(f"delay={delay!r}: seconds, or a timedelta")
    if eta is not None and not isinstance(eta, datetime):
        raise PreconditionFailed(f"eta={eta!r}: an aware datetime is needed")
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if eta is None:
        return seconds
    if seconds:
        raise PreconditionFailed("delay and eta say the same: give one of them")
    if eta.tzinfo is None:
        raise PreconditionFailed(f"eta={eta.isoformat()} has no time zone: use datetime.now(timezone.utc) + …")
    return max((eta - datetime.now(UTC)).total_seconds(), 0.0)


def basic_properties(given: Mapping[str, object]) -> dict[str, object]:
    """Those of AMQP's basic class; ``reply_to`` may be a queue, whose name is meant."""
    if unknown := set(given) - PROPERTIES:
        raise TypeError(f"publish() has no argument {', '.join(sorted(unknown))}")
    found = {name: value.name if isinstance(value, Queue) else value for name, value in given.items()}
    return {name: value for name, value in found.items() if value is not None}
