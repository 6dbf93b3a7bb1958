"""What carrot's classes have in common: closing, callbacks, attributes that arguments replace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self

from kombu.entity import Exchange
from kombu.message import Message

__all__ = ["Callback", "Called", "Closing", "DescribesExchange", "exchange_of", "set_given"]

Callback = Callable[[Any, Message], object]


class Closing:
    """``close`` at the end of a ``with`` block."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Called(Closing):
    """Callbacks, and the method that a message comes to first."""

    def __init__(self, callbacks: Iterable[Callback] | None) -> None:
        self.callbacks = list(callbacks or ())

    def register_callback(self, callback: Callback) -> None:
        """Add a function that is called with ``(message_data, message)``."""
        self.callbacks.append(callback)

    def receive(self, message_data: Any, message: Message) -> None:
        """Called with each message: calls the callbacks. A subclass may override it instead of registering any."""
        if not self.callbacks:
            raise NotImplementedError("nothing to do with a message: register_callback() or override receive()")
        for callback in self.callbacks:
            callback(message_data, message)


class DescribesExchange(Protocol):
    """Has the attributes that carrot's classes describe their exchange with."""

    exchange: str
    exchange_type: str
    durable: bool
    auto_delete: bool


def set_given(target: object, **arguments: object) -> None:
    """What was given takes the place of the class's attribute."""
    for name, value in arguments.items():
        if value is not None:
            setattr(target, name, value)


def exchange_of(owner: DescribesExchange, delivery_mode: int | str | None = None) -> Exchange:
    """The exchange that the attributes of an object describe."""
    return Exchange(
        owner.exchange,
        owner.exchange_type,
        durable=owner.durable,
        auto_delete=owner.auto_delete,
        delivery_mode=delivery_mode,
    )
