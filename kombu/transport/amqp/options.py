"""The transport options that programs know from py-amqp, beside those of all that speak AMQP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kombu.exceptions import InvalidURL
from kombu.transport.native.options import Options, read_options

__all__ = ["SocketOptions", "read_all_options"]

_LEAST_FRAME = 4096
"""Bytes that every peer takes in a frame (AMQP 0-9-1, section 4.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """``settings`` are values for ``setsockopt`` by number, on the level of TCP; ``frame_max`` is how many bytes a sent
    frame has at most, 0 for as many as the broker takes."""

    settings: Mapping[int, int] = field(default_factory=dict)
    frame_max: int = 0


def read_all_options(given: Mapping[str, object]) -> tuple[Options, SocketOptions]:
    """``read_timeout`` and ``write_timeout`` bound ``operation_timeout``. Raises what ``read_options`` does."""
    rest = {name: value for name, value in given.items() if name not in _OWN}
    limits = [value for name in ("read_timeout", "write_timeout") if (value := given.get(name)) is not None]
    for limit in limits:
        asked = read_options({"operation_timeout": limit}).operation_timeout
        rest["operation_timeout"] = min(asked, read_options(rest).operation_timeout)
    settings = SocketOptions(
        settings=_settings(given.get("socket_settings")), frame_max=_frame_max(given.get("frame_max"))
    )
    return read_options(rest), settings


_OWN = frozenset({"read_timeout", "write_timeout", "socket_settings", "frame_max"})


def _settings(value: object) -> dict[int, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(each, int) for pair in value.items() for each in pair):
        raise InvalidURL("transport option socket_settings is a mapping like {socket.TCP_USER_TIMEOUT: 5000}")
    return dict(value)


def _frame_max(value: object) -> int:
    text = str(value or 0)
    if not text.isdecimal() or 0 < int(text) < _LEAST_FRAME:
        raise InvalidURL(f"transport option frame_max={value!r} must be a number of bytes, {_LEAST_FRAME} or more")
    return int(text)
