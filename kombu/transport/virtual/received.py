"""A message as a virtual channel delivers it: what few consumers look at is made when they do."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kombu.message import UNDECODED, Message
from kombu.transport.virtual.head import Head, decode_head, properties_of, remembered
from kombu.transport.virtual.store import Delivery

if TYPE_CHECKING:
    from kombu.transport.virtual.channel import Channel


@dataclass(slots=True, eq=False)
class Receiver:
    """Who gets messages of a channel: a consumer, or without a tag who asks for one. ``held``: the delivery tags of
    those that are not settled yet."""

    channel: Channel
    consumer_tag: str
    no_ack: bool
    held: set[int] = field(default_factory=set)


class Received(Message):
    """It sets its attributes itself, since every message comes this way and one more call would be noticed.

    ``_head`` may be what other messages have in common with it, not to be changed nor handed out.
    """

    __slots__ = ("_delivery_info", "_head", "_properties", "delivery", "receiver")

    def __init__(self, receiver: Receiver, delivery: Delivery, tag: int) -> None:
        text = delivery[1]
        head = remembered(text)
        if head is None:
            head = decode_head(text)
            self.headers = head[4]
            self._properties: Mapping[str, Any] | None = head[5]
        else:
            self.headers = {}
            self._properties = None
        self._head = head
        self.content_type = head[2]
        self.content_encoding = head[3]
        self.body = delivery[2]
        self.delivery_tag = tag
        self.accept = None
        self.channel = receiver.channel
        self.no_ack = receiver.no_ack
        self.state = ""
        self._decoded = UNDECODED
        self._delivery_info: MutableMapping[str, Any] | None = None
        self.delivery = delivery
        self.receiver = receiver

    @property
    def properties(self) -> Mapping[str, Any]:
        if self._properties is None:
            self._properties = properties_of(self.delivery.head, self._head)
        return self._properties

    @properties.setter
    def properties(self, properties: Mapping[str, Any]) -> None:
        self._properties = properties

    @property
    def delivery_info(self) -> MutableMapping[str, Any]:
        if self._delivery_info is None:
            self._delivery_info = _delivery_info(self.delivery, self._head, self.receiver.consumer_tag)
        return self._delivery_info

    @delivery_info.setter
    def delivery_info(self, delivery_info: MutableMapping[str, Any]) -> None:
        self._delivery_info = delivery_info


def _delivery_info(delivery: Delivery, head: Head, consumer_tag: str) -> MutableMapping[str, Any]:
    count = delivery.delivery_count
    return {
        "consumer_tag": consumer_tag,
        "exchange": head.exchange,
        "routing_key": head.routing_key,
        "queue": delivery.lease.queue,
        "redelivered": count > 1,
        "delivery_count": count,
        "age": delivery.age,
    }
