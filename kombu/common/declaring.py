"""Declaring what is used: once for each connection, from a configuration, or one's own part of a broadcast."""

from __future__ import annotations

from collections.abc import MutableMapping
from copy import copy
from typing import Any, cast
from weakref import WeakKeyDictionary

from kombu.abstract import ChannelLike, maybe_channel
from kombu.entity import Exchange, Queue
from kombu.exceptions import ConnectionError, OperationalError
from kombu.producer import Reconnectable
from kombu.retry import RetryPolicy
from kombu.retry import retry as retry_call
from kombu.transport.base import Channel
from kombu.utils.uuid import uuid

__all__ = ["Broadcast", "declaration_cached", "declared_entities", "entry_to_queue", "maybe_declare"]

declared_entities: MutableMapping[object, set[Exchange | Queue]] = WeakKeyDictionary()
"""What :func:`maybe_declare` has declared, by the transport's connection, and forgotten with it."""


def maybe_declare(
    entity: Exchange | Queue, channel: ChannelLike | None = None, retry: bool = False, **retry_policy: float | None
) -> bool:
    """Declare ``entity`` unless that was done on this connection before; answers whether it was declared now.

    ``channel`` is a channel or a connection, and may be left out for a bound entity. What a broker may delete by
    itself (``auto_delete``, ``x-expires``) is declared every time. ``retry``: on an
    :class:`~kombu.exceptions.OperationalError` try again, on a new connection where one is given, by
    ``retry_policy`` (the fields of :class:`kombu.retry.RetryPolicy`).
    """

    def declare_once() -> bool:
        live = entity.channel if channel is None else maybe_channel(channel)
        if declaration_cached(entity, live) or _is_not_ours(entity):
            return False
        entity.declare(channel=live)
        if _is_lasting(entity):
            declared_entities.setdefault(_home(live), set()).add(copy(entity))
        return True

    def reconnect(error: Exception, pause: float) -> None:
        if isinstance(error, ConnectionError) and isinstance(channel, Reconnectable):
            channel.reconnect()

    if not retry:
        return declare_once()
    policy = RetryPolicy(**cast(dict[str, Any], retry_policy))
    return retry_call(declare_once, catch=(OperationalError,), policy=policy, on_error=reconnect)


def declaration_cached(entity: Exchange | Queue, channel: ChannelLike) -> bool:
    """Whether :func:`maybe_declare` has declared it on this connection before."""
    return entity in declared_entities.get(_home(maybe_channel(channel)), ())


def _home(channel: Channel) -> object:
    """What a declaration lasts as long as: the connection that the channel belongs to, or else the channel."""
    return getattr(channel, "connection", channel)


def _is_not_ours(entity: Exchange | Queue) -> bool:
    return entity.no_declare or (isinstance(entity, Exchange) and entity.belongs_to_broker)


def _is_lasting(entity: Exchange | Queue) -> bool:
    if isinstance(entity, Exchange):
        return not entity.auto_delete
    between = entity.exchange is None or not entity.exchange.auto_delete
    return between and not entity.auto_delete and "x-expires" not in entity.arguments


class Broadcast(Queue):
    """A queue of one's own behind a fanout exchange ``name``: everybody who has one gets every message.

    ``queue`` is the queue's name, by default ``bcast.`` and a new uuid; ``unique`` adds a new uuid to it. Queue and
    exchange go when they are not used any more, unless ``auto_delete`` says otherwise. ``options`` are those of
    :class:`~kombu.Queue`.
    """

    def __init__(
        self,
        name: str | None = None,
        queue: str | None = None,
        unique: bool = False,
        auto_delete: bool = True,
        exchange: Exchange | None = None,
        alias: str | None = None,
        **options: Any,
    ) -> None:
        if unique or not queue:
            queue = f"{queue or 'bcast'}.{uuid()}"
        super().__init__(
            queue,
            exchange=exchange or Exchange(name or "", type="fanout", auto_delete=auto_delete),
            alias=alias or name,
            auto_delete=auto_delete,
            **options,
        )


def entry_to_queue(queue: str, **options: Any) -> Queue:
    """The queue that an entry of a configuration describes: see :meth:`kombu.Queue.from_dict`."""
    return Queue.from_dict(queue, **options)
