"""The transport options that both drivers of AMQP have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import inf

from kombu.exceptions import InvalidURL
from kombu.transport.base import Address

__all__ = ["Options", "heartbeat_of", "read_options", "virtual_host_of"]

HEARTBEAT = 30.0
"""Seconds, where the program names none: a broker that went away is noticed within twice that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a connection to RabbitMQ behaves; times are seconds.

    ``prefetch``: how many messages a consumer holds at most unless ``basic_qos`` says otherwise, 0 for any number. Few,
    since RabbitMQ sends so many to the first consumer that comes, and the next ones find none.
    ``settle_delay``: how long an acknowledgement may wait for others to go out with it, 0 for none.
    ``confirm_publish``: whether publishing waits for the broker to have stored the message. ``confirm_timeout``: how
    long at most, where the caller names no timeout. ``operation_timeout``: the same for everything else that is asked.
    ``client_properties``: what the broker's pages show of this client. ``management``: where RabbitMQ's management API
    is, as a URL, for statistics; the port of a plain installation is tried without it. ``plugin_arguments``: those
    of queues, exchanges and consumers that only plug-ins know, which are refused otherwise.
    """

    prefetch: int = 10
    settle_delay: float = 0.1
    confirm_publish: bool = True
    confirm_timeout: float = 30.0
    operation_timeout: float = 30.0
    client_properties: Mapping[str, object] = field(default_factory=dict)
    management: str | None = None
    plugin_arguments: frozenset[str] = frozenset()


_LEAST = {"settle_delay": 0.0, "confirm_timeout": 0.001, "operation_timeout": 0.001}
_NO = ("0", "false", "no", "off")
_YES = ("1", "true", "yes", "on")


def read_options(given: Mapping[str, object]) -> Options:
    """Raises :class:`~kombu.exceptions.InvalidURL` for an unknown option or a value out of its range."""
    known = [each.name for each in fields(Options)]
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidURL(f"unknown transport option {name!r}: known are {', '.join(known)}")
        values[name] = _value(name, value)
    return Options(**values)  # type: ignore[arg-type]


def heartbeat_of(address: Address) -> int:
    """Whole seconds, as the broker wants them; at least one."""
    return max(1, round(address.heartbeat or HEARTBEAT))


def virtual_host_of(address: Address) -> str:
    return address.virtual_host or "/"


def _value(name: str, value: object) -> object:
    if name == "client_properties":
        if not isinstance(value, Mapping):
            raise InvalidURL(f"transport option {name} is a mapping, not {type(value).__name__}")
        return value
    if name == "management":
        return None if value is None else str(value)
    if name == "plugin_arguments":
        return _names(name, value)
    if name == "confirm_publish":
        text = str(value).lower()
        if text not in _YES + _NO:
            raise InvalidURL(f"transport option {name}={value!r} must be true or false")
        return text in _YES
    return _number(name, value)


def _names(name: str, value: object) -> frozenset[str]:
    """Separated by commas, or one by one."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Iterable):
        raise InvalidURL(f"transport option {name}={value!r} must be names")
    return frozenset(str(each).strip() for each in names) - {""}


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise InvalidURL(f"transport option {name}={value!r} is not a number") from None
    if name == "prefetch":
        if number % 1 or not 0 <= number < 2**16:
            raise InvalidURL(f"transport option {name}={value!r} must be a whole number, 65535 at most")
        return int(number)
    if not _LEAST[name] <= number < inf:
        raise InvalidURL(f"transport option {name}={value!r} must be at least {_LEAST[name]:g}")
    return number
