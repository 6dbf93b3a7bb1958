"""Consumer: receiving objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self

from kombu.abstract import ChannelLike, HasDefaultChannel, has_default_channel, maybe_channel
from kombu.entity import Queue
from kombu.exceptions import KombuError
from kombu.message import Message
from kombu.serialization import prepare_accept_content
from kombu.utils.uuid import uuid

__all__ = ["Consumer"]

Callback = Callable[[Any, Message], object]


class Consumer:
    """Receives messages from queues while its connection is drained.

    Each of ``callbacks`` is called with ``(body, message)``; ``on_message(message)`` replaces them and is given
    the message undecoded. A message that cannot be decoded goes to ``on_decode_error(message, error)``; without
    it, the error is raised where the connection is drained, with the message as its attribute ``message``; that stays
    unsettled, so it is not lost.
    ``prefetch_count`` is how many unsettled messages it may hold of each queue; None means the channel's.
    ``accept`` lists the serializers or content types that may be decoded; None means those that are enabled.
    """

    def __init__(
        self,
        channel: ChannelLike,
        queues: Queue | Iterable[Queue] | None = None,
        no_ack: bool | None = None,
        auto_declare: bool | None = None,
        callbacks: Iterable[Callback] | None = None,
        on_decode_error: Callable[[Message, Exception], object] | None = None,
        on_message: Callable[[Message], object] | None = None,
        accept: Iterable[str] | None = None,
        prefetch_count: int | None = None,
        tag_prefix: str | None = None,
    ) -> None:
        self.channel = maybe_channel(channel)
        self.no_ack = no_ack
        self.auto_declare = auto_declare is not False
        self.callbacks = list(callbacks or ())
        self.on_decode_error = on_decode_error
        self.on_message = on_message
        self.accept = None if accept is None else prepare_accept_content(accept)
        self.prefetch_count = prefetch_count
        self.tag_prefix = tag_prefix
        self._source = channel
        self._queues: dict[str, Queue] = {}
        self._tags: dict[str, str] = {}
        for queue in [queues] if isinstance(queues, Queue) else queues or ():
            self.add_queue(queue)

    def __repr__(self) -> str:
        return f"<Consumer {', '.join(self._queues)}>"

    @property
    def connection(self) -> HasDefaultChannel | None:
        """The connection it was made with; None for one that was made with a channel."""
        return self._source if has_default_channel(self._source) else None

    @property
    def queues(self) -> list[Queue]:
        """The queues it consumes from, bound to its channel."""
        return list(self._queues.values())

    def add_queue(self, queue: Queue) -> Queue:
        """Add a queue, which :meth:`consume` begins to consume; answers it bound to the channel."""
        bound = queue(self.channel)
        if self.auto_declare:
            bound.declare()
        self._queues[bound.name] = bound
        return bound

    def declare(self) -> None:
        """Declare all its queues with their exchanges and bindings."""
        for queue in self._queues.values():
            queue.declare()

    def register_callback(self, callback: Callback) -> None:
        """Add a function that is called with ``(body, message)``."""
        self.callbacks.append(callback)

    def consume(self, no_ack: bool | None = None) -> None:
        """Begin to consume from every queue that it does not consume from yet."""
        wanted = self.no_ack if no_ack is None else no_ack
        for name, queue in self._queues.items():
            if name not in self._tags:
                if self.prefetch_count is not None:
                    self.channel.basic_qos(prefetch_count=self.prefetch_count)
                tag = f"{self.tag_prefix}{uuid()}" if self.tag_prefix else ""
                self._tags[name] = queue.consume(tag, self._received, no_ack=wanted)

    def cancel(self) -> None:
        """Stop consuming; what was not handed out yet goes back to its queue."""
        for tag in self._tags.values():
            self.channel.basic_cancel(tag)
        self._tags.clear()

    close = cancel

    def cancel_by_queue(self, queue: Queue | str) -> None:
        """Stop consuming from one queue and forget it."""
        name = queue.name if isinstance(queue, Queue) else queue
        self._queues.pop(name, None)
        tag = self._tags.pop(name, None)
        if tag is not None:
            self.channel.basic_cancel(tag)

    def consuming_from(self, queue: Queue | str) -> bool:
        """Whether it consumes from this queue now."""
        return (queue.name if isinstance(queue, Queue) else queue) in self._tags

    def purge(self) -> int:
        """Remove what no consumer holds in all its queues; answers how many messages those were."""
        return sum(queue.purge() for queue in self._queues.values())

    def qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages it may hold of each queue that it begins to consume from now on.

        ``apply_global``: how many all consumers of its channel may hold together, at once and from now on
        (https://www.rabbitmq.com/docs/consumer-prefetch).
        """
        self.channel.basic_qos(prefetch_size, prefetch_count, apply_global)
        if not apply_global:
            self.prefetch_count = prefetch_count

    def flow(self, active: bool) -> None:
        """Stop receiving on its channel, or go on; what was not handed out yet goes back to its queue meanwhile."""
        self.channel.flow(active)

    def revive(self, channel: ChannelLike) -> None:
        """Go on with another channel: declare its queues there, and consume again from those it consumed from."""
        consumed = bool(self._tags)
        self._source, self.channel = channel, maybe_channel(channel)
        queues, self._queues, self._tags = self.queues, {}, {}
        for queue in queues:
            self.add_queue(queue)
        if consumed:
            self.consume()

    def recover(self, requeue: bool = True) -> None:
        """Put everything that was delivered on its channel and is not settled back."""
        self.channel.basic_recover(requeue)

    def receive(self, body: Any, message: Message) -> None:
        """Called with each decoded message: calls the callbacks."""
        if not self.callbacks:
            raise NotImplementedError("this consumer has no callbacks: give it callbacks=[…] or on_message=…")
        for callback in self.callbacks:
            callback(body, message)

    def __enter__(self) -> Self:
        self.consume()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.channel.is_open:
            self.cancel()

    def _received(self, message: Message) -> None:
        message.accept = self.accept
        if self.on_message is not None:
            self.on_message(message)
            return
        try:
            body = message.payload
        except Exception as error:
            if self.on_decode_error is None:
                if isinstance(error, KombuError):
                    error.message = message
                raise
            self.on_decode_error(message, error)
        else:
            self.receive(body, message)
