"""What exchanges and queues have in common: a call with a channel binds them."""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

from kombu.exceptions import NotBoundError
from kombu.transport.base import Channel

__all__ = ["ChannelLike", "HasDefaultChannel", "MaybeChannelBound", "maybe_channel"]


@runtime_checkable
class HasDefaultChannel(Protocol):
    """A connection, as far as entities know it."""

    @property
    def default_channel(self) -> Channel: ...


ChannelLike = Channel | HasDefaultChannel


def maybe_channel(channel: ChannelLike) -> Channel:
    """The channel itself, or the default channel of a connection."""
    return channel.default_channel if isinstance(channel, HasDefaultChannel) else channel


class MaybeChannelBound:
    """An entity that a call with a channel binds: the result is a bound copy, the original stays as it is."""

    attrs: ClassVar[tuple[str, ...]] = ()
    _channel: Channel | None = None

    def __call__(self, channel: ChannelLike) -> Self:
        return self.bind(channel)

    def bind(self, channel: ChannelLike) -> Self:
        """A copy bound to ``channel``, a channel or a connection."""
        bound = copy(self)
        bound._channel = maybe_channel(channel)
        bound.when_bound()
        return bound

    def maybe_bind(self, channel: ChannelLike | None) -> Self:
        """Bound to ``channel`` unless it is None or the entity is bound already."""
        return self if channel is None or self.is_bound else self.bind(channel)

    def when_bound(self) -> None:
        """Called on the new copy: binds what it refers to."""

    @property
    def is_bound(self) -> bool:
        return self._channel is not None

    @property
    def channel(self) -> Channel:
        """The channel it is bound to; raises :class:`~kombu.exceptions.NotBoundError` when there is none."""
        if self._channel is None:
            raise NotBoundError(f"{self!r} is not bound to a channel: call it with one, as in entity(channel)")
        return self._channel

    def as_dict(self) -> dict[str, Any]:
        """Name and value of everything that describes the entity."""
        return {name: getattr(self, name) for name in self.attrs}

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__getstate__())
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_channel"}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.as_dict() == cast(Self, other).as_dict()

    def __hash__(self) -> int:
        return hash((type(self).__name__, getattr(self, "name", "")))

    def _on(self, channel: ChannelLike | None) -> Channel:
        return self.channel if channel is None else maybe_channel(channel)
