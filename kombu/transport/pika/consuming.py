"""What a channel's consumers are given, and how it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu.message import Message
from kombu.transport.base import CancelCallback, MessageCallback
from kombu.transport.native.properties import readable
from kombu.transport.native.received import delivery_info

if TYPE_CHECKING:
    from kombu.transport.pika.channel import Channel

__all__ = ["Arrival", "Consumer", "info_of", "message_of"]


@dataclass(slots=True, eq=False)
class Consumer:
    """One of a channel. ``no_ack``: a message is acknowledged when it is handed over, not when it is sent: the broker
    would send any number, and what nobody was given would be lost with the connection. ``at_once``: when it is sent."""

    channel: Channel
    tag: str
    queue: str
    callback: MessageCallback
    no_ack: bool
    at_once: bool
    arguments: Mapping[str, object]
    prefetch: int
    on_cancel: CancelCallback | None
    ended: bool = False


@dataclass(slots=True, eq=False)
class Arrival:
    """A delivery on its way, and until it is settled. Without a consumer somebody has asked for it; without a method it
    is none: its consumer has ended, the queue is gone. ``raw`` is the properties as they came."""

    consumer: Consumer | None
    tag: int
    method: Any
    raw: bytes
    body: bytes
    queue: str
    handed: bool = False
    refused: bool = False


def message_of(channel: Channel, arrival: Arrival, no_ack: bool, consumer_tag: str) -> Message:
    """As a consumer receives it. Whatever others put into its properties, this raises nothing."""
    properties = readable(arrival.raw)
    headers = properties.pop("headers", None) or {}
    info = info_of(arrival, headers, consumer_tag)
    return Message(
        arrival.body,
        arrival.tag,
        properties.pop("content_type", None),
        properties.pop("content_encoding", None),
        info,
        properties,
        headers,
        channel=channel,
        no_ack=no_ack,
    )


def info_of(arrival: Arrival, headers: dict[str, Any], consumer_tag: str) -> dict[str, Any]:
    """The delivery information; ``headers`` lose what the delay of the message has put there."""
    method = arrival.method
    return delivery_info(
        headers,
        consumer_tag=consumer_tag,
        exchange=method.exchange,
        routing_key=method.routing_key,
        queue=arrival.queue,
        redelivered=method.redelivered,
    )
