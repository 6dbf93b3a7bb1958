"""What exchanges and queues have in common: named attributes describe them, and a call with a channel binds them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast

from kombu.exceptions import NotBoundError
from kombu.transport.base import Channel

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["ChannelLike", "HasDefaultChannel", "MaybeChannelBound", "Object", "has_default_channel", "maybe_channel"]

Attribute = str | tuple[str, Callable[[Any], object] | None]
"""A name, or a name and what makes its value of what was given."""


class HasDefaultChannel(Protocol):
    """A connection, as far as entities know it."""

    @property
    def default_channel(self) -> Channel: ...


ChannelLike = Channel | HasDefaultChannel


def maybe_channel(channel: ChannelLike) -> Channel:
    """The channel itself, or the default channel of a connection."""
    return channel.default_channel if has_default_channel(channel) else channel


def has_default_channel(obj: object) -> TypeIs[HasDefaultChannel]:
    """Whether it is a connection; asked of its class, since the attribute itself connects."""
    return hasattr(type(obj), "default_channel")


class Object:
    """A thing described by the attributes that :attr:`attrs` names: copied, pickled and compared by them.

    As it stands it takes them as keyword arguments; what is not given stays as the class has it, or None.
    """

    attrs: ClassVar[tuple[Attribute, ...]] = ()

    def __init__(self, *args: object, **kwargs: Any) -> None:
        for name, convert in self._attributes():
            value = kwargs.get(name)
            if value is not None:
                setattr(self, name, convert(value) if convert else value)
            elif not hasattr(self, name):
                setattr(self, name, None)

    def as_dict(self, recurse: bool = False) -> dict[str, Any]:
        """Name and value of everything that describes it; with ``recurse`` what it refers to is a dict too."""
        described = {name: getattr(self, name) for name, _ in self._attributes()}
        return {name: _as_dicts(value) for name, value in described.items()} if recurse else described

    def __copy__(self) -> Self:
        new = object.__new__(type(self))
        new.__dict__.update(self.__getstate__())
        return new

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.as_dict() == cast(Self, other).as_dict()

    def __hash__(self) -> int:
        return hash((type(self).__name__, getattr(self, "name", "")))

    @classmethod
    def _attributes(cls) -> list[tuple[str, Callable[[Any], object] | None]]:
        return [(each, None) if isinstance(each, str) else each for each in cls.attrs]


class MaybeChannelBound(Object):
    """An entity that a call with a channel binds: the result is a bound copy, the original stays as it is."""

    _channel: Channel | None = None

    def __call__(self, channel: ChannelLike) -> Self:
        return self.bind(channel)

    def bind(self, channel: ChannelLike) -> Self:
        """A copy bound to ``channel``, a channel or a connection."""
        bound = copy(self)
        bound._bind_itself(channel)
        return bound

    def maybe_bind(self, channel: ChannelLike | None) -> Self:
        """Bound to ``channel`` unless it is None or the entity is bound already."""
        return self if channel is None or self.is_bound else self.bind(channel)

    def revive(self, channel: ChannelLike) -> None:
        """Go on with another channel, if it is bound; an entity that is not bound stays so."""
        if self.is_bound:
            self._bind_itself(channel)

    def when_bound(self) -> None:
        """Called on what was bound: binds what it refers to."""

    @property
    def is_bound(self) -> bool:
        return self._channel is not None

    @property
    def channel(self) -> Channel:
        """The channel it is bound to; raises :class:`~kombu.exceptions.NotBoundError` when there is none."""
        if self._channel is None:
            raise NotBoundError(f"{self!r} is not bound to a channel: call it with one, as in entity(channel)")
        return self._channel

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_channel"}

    def _bind_itself(self, channel: ChannelLike | None) -> None:
        if channel is not None:
            self._channel = maybe_channel(channel)
            self.when_bound()

    def _on(self, channel: ChannelLike | None) -> Channel:
        return self.channel if channel is None else maybe_channel(channel)


def _as_dicts(value: object) -> object:
    if isinstance(value, Object):
        return value.as_dict(recurse=True)
    return [_as_dicts(each) for each in value] if isinstance(value, tuple) else value
