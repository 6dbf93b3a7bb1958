"""Carries what waits in a queue to a queue of another connection, whatever the two brokers are, without loss.

Each batch is stored in the target before it leaves the source. Whoever is interrupted, or killed, calls :func:`move`
again: what was moved is gone from the source, and at most the batch that was in flight is there twice, with the same
message ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import ChannelError, MessageReturned, NotFound, PreconditionFailed
from kombu.message import Message
from kombu.transport.base import Channel, Content, GivesBatches, Publication, QueueStatistics
from kombu.utils.uuid import uuid

__all__ = ["Moved", "move"]

Progress = Callable[[int], object]

_MOST_BYTES = 16 << 20
"""Of bodies in a batch: what is moved is held in memory for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """``count`` messages were moved; ``left`` is what the source's queue held after that: messages that are delayed,
    and such that others hold."""

    count: int
    left: QueueStatistics


def move(
    source: Connection,
    queue: str | Queue,
    target: Connection,
    to: str | Queue | None = None,
    *,
    batch: int = 100,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Moved:
    """Move what is ready in ``queue``, in its order, to the queue ``to`` of the other connection, or that of its name.

    It ends when nothing is ready any more, or ``limit`` messages were moved. ``progress(count)`` is told after each
    batch how many that is so far; it may raise to end it. A ``to`` that is a :class:`~kombu.Queue` is declared first.

    Body, headers and properties stay what they are, priority and message id among them. Of an expiration what is left
    of it is kept, where the source tells how old a message is. A message that had come another way than straight to a
    queue of this name tells in its header ``x-moved-from`` of the exchange, routing key and queue.

    Raises :class:`~kombu.exceptions.NotFound` when there is no such queue,
    :class:`~kombu.exceptions.PreconditionFailed` when both are the same one, another
    :class:`~kombu.exceptions.ChannelError` when the target refuses a message, which then stays where it was, and
    :class:`~kombu.exceptions.OperationalError` when a connection is lost.
    """
    if batch < 1:
        raise ValueError(f"batch={batch}: how many messages at once, at least 1")
    with ExitStack() as stack:
        taking, giving = (_channel(stack, each) for each in (source, target))
        here = queue.name if isinstance(queue, Queue) else queue
        there = _declared(to, giving) if isinstance(to, Queue) else (to or here)
        _check_queue(source, here)
        _check_queue(target, there)
        if here == there and _same_place(source, target):
            raise PreconditionFailed(f"queue {here!r}: source and target are the same queue, nothing is to be moved")
        count = _Move(taking, here, target, giving, there).run(batch, limit, progress)
        left = source.statistics([here]).get(here, QueueStatistics())
    return Moved(count=count, left=left)


class _Move:
    """From one queue to the other; ``count`` is how many were moved so far."""

    def __init__(self, taking: Channel, here: str, target: Connection, giving: Channel, there: str) -> None:
        self._taking, self._here = taking, here
        self._target, self._giving, self._there = target, giving, there
        self.count = 0
        self._largest = _MOST_BYTES
        """Body of those that came last."""

    def run(self, batch: int, limit: int | None, progress: Progress | None) -> int:
        more = True
        while more and (limit is None or self.count < limit):
            messages, more = self._take(batch if limit is None else min(batch, limit - self.count))
            if messages:
                self._give(messages)
                if progress is not None:
                    progress(self.count)
        self._taking.queue_declare(self._here, passive=True)  # answered when the acknowledgements were carried out
        return self.count

    def _take(self, most: int) -> tuple[list[Message], bool]:
        """And whether there may be more. Not with a consumer: the end of one could be the end of the queue."""
        taken: list[Message] = []
        left = _MOST_BYTES
        while len(taken) < most and left > 0:
            found = self._get(min(most - len(taken), left // max(self._largest, 1) + 1))
            if not found:
                return taken, False
            taken += found
            sizes = [len(message.body or b"") for message in found]
            left -= sum(sizes)
            self._largest = max(sizes)
        return taken, True

    def _get(self, most: int) -> list[Message]:
        if isinstance(self._taking, GivesBatches):
            return self._taking.get_batch(self._here, most)
        message = self._taking.basic_get(self._here)
        return [] if message is None else [message]

    def _give(self, messages: Sequence[Message]) -> None:
        """All together; where the target refuses that, one by one, up to the one that it refuses."""
        publications = [self._publication(message) for message in messages]
        try:
            self._giving.publish_batch(publications)
        except ChannelError as exc:
            refused = range(len(messages)) if exc.not_stored is None else exc.not_stored
            self._acknowledge([message for place, message in enumerate(messages) if place not in refused])
            with ExitStack() as stack:
                giving = _channel(stack, self._target)  # a broker may have closed the other
                for place in refused:
                    self._give_one(giving, messages[place], publications[place])
        else:
            self._acknowledge(messages)

    def _give_one(self, giving: Channel, message: Message, publication: Publication) -> None:
        try:
            giving.publish_batch([publication])
        except ChannelError as exc:
            gone = isinstance(exc, MessageReturned)
            why = f"queue {self._there!r} is gone" if gone else str(exc)
            raise type(exc)(
                f"message {message.properties.get('message_id')} cannot be moved, and stays in queue {self._here!r}:"
                f" {why}; {self.count} messages were moved before"
            ) from exc
        self._acknowledge([message])

    def _acknowledge(self, messages: Sequence[Message]) -> None:
        for message in messages:
            message.ack()
        self.count += len(messages)

    def _publication(self, message: Message) -> Publication:
        body = message.body if isinstance(message.body, bytes) else (message.body or "").encode()
        return Publication(Content(body, self._properties(message)), "", self._there, mandatory=True)

    def _properties(self, message: Message) -> Mapping[str, object]:
        way = message.delivery_info
        headers = dict(message.headers)
        came = (way.get("exchange") or "", way.get("routing_key") or "")
        if came != ("", self._there):
            headers["x-moved-from"] = {"exchange": came[0], "routing-key": came[1], "queue": self._here}
        described: dict[str, Any] = {
            **message.properties,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "headers": headers,
        }
        if described.get("expiration") is not None:
            described["expiration"] = _left(described["expiration"], way.get("age"))
        return {name: value for name, value in described.items() if value is not None and value != {}}


def _left(expiration: object, age: object) -> object:
    """Milliseconds as text. What is about to expire expires in its new queue, by the rules that are there."""
    if not isinstance(age, (int, float)):
        return expiration
    with suppress(ValueError):
        return str(max(round(float(str(expiration)) - age * 1000), 1))
    return expiration


def _channel(stack: ExitStack, connection: Connection) -> Channel:
    """A new one. What it holds at the end goes back to its queue."""
    channel = connection.channel()
    stack.callback(connection.maybe_close_channel, channel)
    return channel


def _declared(queue: Queue, channel: Channel) -> str:
    bound = queue(channel)
    bound.declare()
    return bound.name


def _check_queue(connection: Connection, queue: str) -> None:
    with ExitStack() as stack:
        try:
            _channel(stack, connection).queue_declare(queue, passive=True)
        except NotFound as exc:
            raise NotFound(f"no queue {queue!r} at {connection.as_uri()}: declare it before moving") from exc


def _same_place(source: Connection, target: Connection) -> bool:
    """Whether they are one broker's, however it is spelled, or reached: what one declares the other finds."""
    if source is target or _address(source) == _address(target):
        return True
    name = f"kombu.move.{uuid()}"
    with ExitStack() as stack:
        declaring, looking = _channel(stack, target), _channel(stack, source)
        try:
            declaring.exchange_declare(name, "direct", durable=False)
        except ChannelError:
            return False  # a user who may declare nothing
        stack.callback(_channel(stack, target).exchange_delete, name)
        try:
            looking.exchange_declare(name, "direct", passive=True)
        except ChannelError:
            return False
        return True


def _address(connection: Connection) -> tuple[object, ...]:
    transport = connection.get_transport_cls()
    port = connection.port or transport.default_port
    return transport, connection.hostname or "", port, connection.virtual_host or ""
