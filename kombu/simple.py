"""SimpleQueue and SimpleBuffer: a queue of the broker with the methods of the standard library's ``queue.Queue``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from queue import Empty
from typing import Any, ClassVar, Protocol, Self, cast, runtime_checkable

from kombu.abstract import ChannelLike
from kombu.entity import Exchange, Queue
from kombu.exceptions import NotBoundError
from kombu.message import Message
from kombu.messaging import Consumer, Producer
from kombu.transport.base import Channel

__all__ = ["SimpleBase", "SimpleBuffer", "SimpleQueue"]


@runtime_checkable
class _Link(Protocol):
    """A connection, of a program or of a transport, as far as it is needed here."""

    def channel(self) -> Channel: ...

    def drain_events(self, timeout: float | None = None) -> None: ...


class SimpleBase:
    """Puts objects into one queue and gets messages out of it.

    It works on a channel of its own, opened on the connection it is given or on the connection of the channel it
    is given. :meth:`close` closes that channel: a message that was got and is not settled by then goes back. After
    a lost connection the next call opens another channel, where it was given a connection.

    ``no_ack``: a message counts as settled when it is got. ``serializer`` and ``compression`` are for what is put,
    ``accept`` (serializers or content types) for what is got.
    """

    Empty = Empty

    def __init__(
        self,
        channel: ChannelLike,
        queue: Queue,
        *,
        no_ack: bool = False,
        serializer: str | None = None,
        compression: str | None = None,
        accept: Iterable[str] | None = None,
    ) -> None:
        self._link = _link(channel)
        self._wanted = queue
        self._accept = accept
        self._serializer, self._compression = serializer, compression
        self._buffer: deque[Message] = deque()
        self._closed = False
        self.no_ack = no_ack
        self._open()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.queue.name!r}>"

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """The next message, to be settled by the caller; its ``payload`` is the object that was put.

        Waits ``timeout`` seconds at most, None for ever; not at all with ``block=False``. Other consumers of the
        same connection are served meanwhile. Raises :attr:`Empty` when there is none. A body that cannot be decoded
        raises where ``payload`` is read, and the message is still the caller's to settle.
        """
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout={timeout}: seconds, not negative")
        message = self._ready() or (self._wait(timeout) if block else None)
        if message is None:
            raise self.Empty
        return message

    def get_nowait(self) -> Message:
        """:meth:`get` without waiting."""
        return self.get(block=False)

    def put(
        self,
        message: Any,
        serializer: str | None = None,
        headers: Mapping[str, object] | None = None,
        compression: str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> None:
        """Publish an object; ``options`` are those of :meth:`kombu.Producer.publish`."""
        self._live_channel()
        self.producer.publish(
            message,
            serializer=serializer,
            headers=headers,
            compression=compression,
            routing_key=routing_key,
            **options,
        )

    def clear(self) -> int:
        """Remove what waits in the queue; answers how many messages those were."""
        self._live_channel()
        removed = len(self._buffer)
        while self._buffer:
            self._buffer.popleft().ack()
        return removed + self.queue.purge()

    def qsize(self) -> int:
        """How many messages wait in the queue; those that were got and not settled do not count."""
        self._live_channel()
        return self.queue.queue_declare(passive=True).message_count + len(self._buffer)

    def close(self) -> None:
        """Give back what is not settled, and close the channel."""
        self._closed = True
        self._buffer.clear()
        if self.channel.is_open:
            self.consumer.cancel()
            self.channel.close()

    def __len__(self) -> int:
        return self.qsize()

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> None:
        """Open a channel and declare the queue on it."""
        self._buffer.clear()
        self.channel = self._link.channel()
        self.channel.basic_qos(prefetch_count=1)
        self.consumer = Consumer(self.channel, self._wanted, on_message=self._buffer.append, accept=self._accept)
        self.queue = self.consumer.queues[0]
        exchange = self.queue.exchange or Exchange("")
        key = self.queue.name if self.queue.exchange is None else self.queue.routing_key
        self.producer = Producer(self.channel, exchange, key, self._serializer, False, self._compression)

    def _live_channel(self) -> Channel:
        if self._closed:
            raise NotBoundError(f"{self!r} is closed")
        if not self.channel.is_open:
            self._open()
        return self.channel

    def _ready(self) -> Message | None:
        """What need not be waited for. The broker is asked for one message at a time, so that nothing is held back
        here from other consumers."""
        self._live_channel()
        if not self._buffer and self.consumer.consuming_from(self.queue):
            self._drain(0.0)
        if self._buffer:
            return self._arrived()
        return self.queue.get(no_ack=self.no_ack, accept=self.consumer.accept)

    def _wait(self, timeout: float | None) -> Message | None:
        """Consume until one message is there."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._consume()
        try:
            while not self._buffer:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not self._drain(left) or left == 0:
                    break
        finally:
            if not self.queue.auto_delete:  # such a queue would be gone with its last consumer
                self.consumer.cancel()
        return self._arrived() if self._buffer else None

    def _consume(self) -> None:
        """Each wait has a consumer of its own: an earlier one is full while the caller holds its message."""
        earlier, on_message = self.consumer, self._buffer.append
        self.consumer = Consumer(self.channel, self.queue, False, False, on_message=on_message, accept=self._accept)
        self.consumer.consume()
        earlier.cancel()

    def _drain(self, timeout: float | None) -> bool:
        try:
            self._link.drain_events(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def _arrived(self) -> Message:
        message = self._buffer.popleft()
        message.accept = self.consumer.accept
        if self.no_ack:
            message.ack()
            message.no_ack = True  # the caller may acknowledge it, as any message of a queue without acknowledgement
        return message


class SimpleQueue(SimpleBase):
    """A durable queue ``name`` behind a direct exchange of the same name, or the :class:`~kombu.Queue` given as it.

    ``queue_opts``, ``queue_args`` (its ``x-`` arguments) and ``exchange_opts`` are for the entities that are made
    from a name; the attributes of the same names are the defaults of a subclass.
    """

    no_ack = False
    queue_opts: ClassVar[Mapping[str, object]] = {}
    queue_args: ClassVar[Mapping[str, object]] = {}
    exchange_opts: ClassVar[Mapping[str, object]] = {"type": "direct"}

    def __init__(
        self,
        channel: ChannelLike,
        name: str | Queue,
        no_ack: bool | None = None,
        queue_opts: Mapping[str, object] | None = None,
        queue_args: Mapping[str, object] | None = None,
        exchange_opts: Mapping[str, object] | None = None,
        serializer: str | None = None,
        compression: str | None = None,
        accept: Iterable[str] | None = None,
    ) -> None:
        queue = name if isinstance(name, Queue) else self._named(name, queue_opts, queue_args, exchange_opts)
        super().__init__(
            channel,
            queue,
            no_ack=(self.no_ack or queue.no_ack) if no_ack is None else no_ack,
            serializer=serializer,
            compression=compression,
            accept=accept,
        )

    def _named(
        self,
        name: str,
        queue_opts: Mapping[str, object] | None,
        queue_args: Mapping[str, object] | None,
        exchange_opts: Mapping[str, object] | None,
    ) -> Queue:
        if not isinstance(name, str) or not name:
            raise TypeError(f"{type(self).__name__} needs the name of a queue, or a Queue, not {name!r}")
        exchange = Exchange(name, **cast(dict[str, Any], {**self.exchange_opts, **(exchange_opts or {})}))
        options = cast(dict[str, Any], {**self.queue_opts, **(queue_opts or {})})
        arguments = {**self.queue_args, **(queue_args or {})} or None
        options.setdefault("routing_key", name)
        if arguments:
            options["queue_arguments"] = {**options.get("queue_arguments", {}), **arguments}
        return Queue(name, exchange, **options)


class SimpleBuffer(SimpleQueue):
    """A :class:`SimpleQueue` for what may be lost: transient messages, settled when they are got, in a queue and an
    exchange that go when this connection does."""

    no_ack = True
    queue_opts = {"durable": False, "auto_delete": True, "exclusive": True}
    exchange_opts = {"durable": False, "auto_delete": True, "delivery_mode": "transient"}


def _link(channel: object) -> _Link:
    """A connection itself, or the one that a channel belongs to."""
    link = channel if isinstance(channel, _Link) else getattr(channel, "connection", None)
    if not isinstance(link, _Link):
        raise TypeError(f"a connection or a channel is needed, not {channel!r}")
    return link
