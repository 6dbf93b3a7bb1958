"""A message as this transport delivers it: what few consumers look at is made when they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from kombu.message import UNDECODED, Message
from kombu.transport.base import CancelCallback, Content
from kombu.transport.native.properties import readable
from kombu.transport.native.received import delivery_info

if TYPE_CHECKING:
    from kombu.transport.amqp.channel import Channel
    from kombu.transport.amqp.consuming import Consuming

__all__ = ["Received", "Subscription"]

_USUAL = 0xD080
"""The flags of content type, content encoding, delivery mode and message id, which are all that most messages have."""

_TEXT_OF_36 = 37
"""Bytes of a message id that is a UUID, with its length."""

_MOST_REMEMBERED = 1000
_FLAGS = Struct(">H")

_beginnings: dict[bytes, dict[str, Any]] = {}


@dataclass(slots=True, eq=False)
class Subscription:
    """A consumer, and what it belongs to."""

    consuming: Consuming
    tag: str
    queue: str
    no_ack: bool
    prefetch: int
    arguments: Mapping[str, object]
    callback: Callable[[Message], object]
    on_cancel: CancelCallback | None


class Received(Message):
    """It sets its attributes itself, since every message comes this way and one more call would be noticed.

    ``way`` is exchange and routing key, as they stand in the frame.
    """

    __slots__ = ("_begin", "_delivery_info", "_head", "_properties", "queue", "redelivered", "subscription", "way")

    def __init__(
        self,
        channel: Channel | None,
        subscription: Subscription | None,
        tag: int,
        queue: str,
        no_ack: bool,
        redelivered: bool,
        way: bytes,
        head: bytes,
        body: bytes,
    ) -> None:
        begin = _beginnings.get(head[:-_TEXT_OF_36])
        if begin is None or head[-_TEXT_OF_36] != _TEXT_OF_36 - 1:
            begin = self._read(head)
        else:
            self.headers = {}
            self._properties: Mapping[str, Any] | None = None
        self.content_type = begin["content_type"]
        self.content_encoding = begin["content_encoding"]
        self._begin = begin
        self._head = head
        self.body = body
        self.delivery_tag = tag
        self.accept = None
        self.channel = channel
        self.no_ack = no_ack
        self.state = ""
        self._decoded = UNDECODED
        self._delivery_info: MutableMapping[str, Any] | None = None
        self.subscription = subscription
        self.queue = queue
        self.redelivered = redelivered
        self.way = way
        if self.headers:
            self._delivery_info = self._made_delivery_info()

    @property
    def properties(self) -> Mapping[str, Any]:
        if self._properties is None:
            message_id = str(self._head[1 - _TEXT_OF_36 :], "utf-8", "backslashreplace")
            self._properties = {"delivery_mode": self._begin["delivery_mode"], "message_id": message_id}
        return self._properties

    @properties.setter
    def properties(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties

    @property
    def delivery_info(self) -> MutableMapping[str, Any]:
        if self._delivery_info is None:
            self._delivery_info = self._made_delivery_info()
        return self._delivery_info

    @delivery_info.setter
    def delivery_info(self, delivery_info: MutableMapping[str, Any]) -> None:
        self._delivery_info = delivery_info

    def content(self) -> Content:
        """What it was published with."""
        described = {
            "content_type": self.content_type,
            "content_encoding": self.content_encoding,
            "headers": dict(self.headers) or None,
        }
        body = self.body if isinstance(self.body, bytes) else b""
        return Content(body, {**self.properties, **{name: value for name, value in described.items() if value}})

    def _read(self, head: bytes) -> dict[str, Any]:
        found = readable(head)
        self.headers = found.pop("headers", {})
        begin = {
            "content_type": found.pop("content_type", None),
            "content_encoding": found.pop("content_encoding", None),
        }
        self._properties = found
        if _is_usual(head):
            if len(_beginnings) >= _MOST_REMEMBERED:
                _beginnings.clear()
            _beginnings[head[:-_TEXT_OF_36]] = {**begin, "delivery_mode": found.get("delivery_mode")}
        return begin

    def _made_delivery_info(self) -> MutableMapping[str, Any]:
        length = self.way[0]
        return delivery_info(
            self.headers,  # type: ignore[arg-type]
            consumer_tag=self.subscription.tag if self.subscription is not None else "",
            exchange=str(self.way[1 : 1 + length], "utf-8", "backslashreplace"),
            routing_key=str(self.way[2 + length : 2 + length + self.way[1 + length]], "utf-8", "backslashreplace"),
            queue=self.queue,
            redelivered=self.redelivered,
        )


def _is_usual(head: bytes) -> bool:
    if len(head) < 2 + _TEXT_OF_36 or _FLAGS.unpack_from(head)[0] != _USUAL:
        return False
    content_type = head[2]
    content_encoding = head[3 + content_type] if len(head) > 3 + content_type else 0
    return len(head) == 2 + 1 + content_type + 1 + content_encoding + 1 + _TEXT_OF_36
