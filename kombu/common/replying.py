"""Answers to messages: sending one, collecting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kombu.abstract import ChannelLike
from kombu.common.waiting import itermessages
from kombu.entity import Exchange, Queue
from kombu.exceptions import PreconditionFailed
from kombu.message import Message
from kombu.messaging import Producer
from kombu.serialization import registry
from kombu.transport.base import Channel

__all__ = ["collect_replies", "send_reply"]


def send_reply(
    exchange: Exchange | str,
    req: Message,
    msg: Any,
    producer: Producer | None = None,
    retry: bool = False,
    retry_policy: Mapping[str, float | None] | None = None,
    **props: Any,
) -> None:
    """Answer the message ``req``: publish ``msg`` to where its ``reply_to`` says, with its ``correlation_id`` and its
    serializer. Without a ``producer`` on the channel it came by; other arguments are those of ``publish``.

    Raises :class:`~kombu.exceptions.PreconditionFailed` when it does not say where to.
    """
    reply_to = req.properties.get("reply_to")
    if not reply_to:
        raise PreconditionFailed("this message has no reply_to: nobody waits for an answer")
    options: dict[str, Any] = {
        "routing_key": reply_to,
        "correlation_id": req.properties.get("correlation_id"),
        "serializer": registry.type_to_name.get(req.content_type or ""),
        **props,
    }
    (producer or Producer(_channel_of(req))).publish(
        msg, exchange=exchange, retry=retry, retry_policy=retry_policy, **options
    )


def _channel_of(message: Message) -> Channel:
    if message.channel is None:
        raise PreconditionFailed("this message was not received from a channel: give a producer to answer it")
    return message.channel


def collect_replies(
    conn: ChannelLike,
    channel: Channel | None,
    queue: Queue,
    limit: int | None = 1,
    timeout: float | None = None,
    callbacks: Iterable[Callable[[Any, Message], object]] | None = None,
    no_ack: bool = True,
    **options: Any,
) -> Iterator[Any]:
    """The bodies that come to a queue of replies, acknowledged; arguments are those of :func:`itermessages`."""
    for body, message in itermessages(conn, channel, queue, limit, timeout, callbacks, no_ack=no_ack, **options):
        if not message.acknowledged:
            message.ack()
        yield body
