"""A command as it travels, and whom it is meant for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kombu.entity import Exchange
from kombu.exceptions import DecodeError
from kombu.matcher import match
from kombu.message import Message

__all__ = ["Arguments", "Request", "clock_of", "control_exchange"]

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command for all nodes, for those that are named, or for those whose name matches a pattern.

    ``reply_to`` has the ``exchange`` and the ``routing_key`` of who waits for replies, which carry the ``ticket``.
    """

    method: str
    arguments: Arguments
    destination: Sequence[str] | None = None
    pattern: str | None = None
    matcher: str | None = None
    ticket: str | None = None
    reply_to: Mapping[str, str] | None = None

    @classmethod
    def read(cls, body: object) -> Request:
        """The command in a message's body; raises :class:`~kombu.exceptions.DecodeError` where there is none."""
        if not isinstance(body, Mapping) or not isinstance(body.get("method"), str):
            raise DecodeError(f"not a command, which is an object with a 'method': {body!r:.200}")
        given = {name: body[name] for name in cls.__slots__ if body.get(name) is not None}
        for name, kind in _KINDS.items():
            if name in given and not isinstance(given[name], kind):
                raise DecodeError(f"command {given['method']!r}: wrong {name}: {given[name]!r:.200}")
        if not {"exchange", "routing_key"} <= set(given.get("reply_to", _NOBODY)):
            raise DecodeError(f"command {given['method']!r}: reply_to needs 'exchange' and 'routing_key'")
        return cls(**{"arguments": {}, **given})

    def body(self) -> dict[str, Any]:
        """What travels; without a reply wanted, ticket and reply_to are left out."""
        left_out = () if self.reply_to else ("ticket", "reply_to")
        return {name: getattr(self, name) for name in self.__slots__ if name not in left_out}

    def is_for(self, hostname: str) -> bool:
        """Whether this node is meant. Raises ``MatcherNotInstalled``, and ValueError for a bad pattern."""
        if self.destination:
            return hostname in self.destination
        return not self.pattern or match(hostname, self.pattern, self.matcher)


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "arguments": Mapping,
    "destination": (list, tuple),
    "pattern": str,
    "matcher": str,
    "ticket": str,
    "reply_to": Mapping,
}
_NOBODY: Mapping[str, str] = {"exchange": "", "routing_key": ""}


def control_exchange(name: str, type: str) -> Exchange:
    """An exchange for what is not worth keeping."""
    return Exchange(name, type, durable=False, delivery_mode="transient")


def clock_of(message: Message) -> int:
    """The sender's logical clock; 0 where it did not tell."""
    value = message.headers.get("clock")
    return value if isinstance(value, int) else 0
