"""The transport options that all virtual transports share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from kombu.exceptions import InvalidURL


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a connection to a store behaves.

    ``lease``: seconds after which the messages of a process that died are delivered again; a live process
    renews its leases at a third of it. ``settle_delay``: seconds that an acknowledgement may wait for others
    to be written with it, 0 for none. ``prefetch``: how many messages a consumer holds at most unless
    ``basic_qos`` says otherwise.
    """

    lease: float = 60.0
    settle_delay: float = 0.1
    prefetch: int = 64


def read_options(given: Mapping[str, object]) -> Options:
    """Raises :class:`InvalidURL` for an unknown option or a value that is no number in its range."""
    known = {field.name: field.type for field in fields(Options)}
    values: dict[str, float] = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidURL(f"unknown transport option {name!r}: known are {', '.join(known)}")
        values[name] = _number(name, value)
    if "prefetch" in values:
        if values["prefetch"] % 1:
            raise InvalidURL(f"transport option prefetch={given['prefetch']!r} must be a whole number")
        values["prefetch"] = int(values["prefetch"])
    return Options(**values)  # type: ignore[arg-type]


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise InvalidURL(f"transport option {name}={value!r} is not a number") from None
    least = {"lease": 0.05, "settle_delay": 0.0, "prefetch": 1.0}[name]
    if not least <= number < float("inf"):
        raise InvalidURL(f"transport option {name}={value!r} must be at least {least:g}")
    return number
