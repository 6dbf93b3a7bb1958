"""A message as a coroutine receives it."""

from __future__ import annotations

from collections.abc import Container, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kombu import message

if TYPE_CHECKING:
    from kombu.aio.link import Link

__all__ = ["Message"]


class Message:
    """One delivery, to be settled exactly once, with ``await``.

    Everything else is as in :class:`kombu.Message`, to which it passes on what it is asked for.
    """

    __slots__ = ("_link", "_message", "no_ack")

    no_ack: bool
    """It was acknowledged by itself when it was handed out."""
    accept: Container[str] | None
    acknowledged: bool
    body: bytes | str | None
    content_encoding: str | None
    content_type: str | None
    delivery_info: MutableMapping[str, Any]
    delivery_tag: int | str | None
    headers: Mapping[str, Any]
    payload: Any
    properties: Mapping[str, Any]

    def __init__(self, message: message.Message, link: Link, no_ack: bool = False) -> None:
        self._message = message
        self._link = link
        self.no_ack = no_ack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def __repr__(self) -> str:
        return repr(self._message)

    def decode(self) -> Any:
        """Decode the body anew; raises what :attr:`payload` raises."""
        return self._message.decode()

    async def ack(self, multiple: bool = False) -> None:
        """Acknowledge: the broker may forget the message. ``multiple``: and all that its consumer got before it."""
        if not self.no_ack:
            await self._link.settle(partial(self._message.ack, multiple))

    async def reject(self, requeue: bool = False, *, because: str | None = None) -> None:
        """Refuse the message: it is dead-lettered where its queue says so, or dropped (AMQP basic.reject)."""
        await self._link.settle(partial(self._message.reject, requeue, because=because))

    async def requeue(self, delay: float = 0.0) -> None:
        """Put the message back into its queue, for any consumer, after ``delay`` seconds."""
        await self._link.settle(partial(self._message.requeue, delay))
