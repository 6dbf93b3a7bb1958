"""Producer and Consumer: publishing objects and receiving them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, Self, cast, runtime_checkable

from kombu.compression import compress
from kombu.entity import ChannelLike, Exchange, Queue, maybe_channel
from kombu.exceptions import (
    ConnectionError,
    EncodeError,
    MessageReturned,
    NotSupported,
    OperationalError,
    PreconditionFailed,
)
from kombu.message import Message
from kombu.retry import RetryPolicy, retry
from kombu.serialization import dumps, prepare_accept_content
from kombu.transport.base import Channel, Content, Publication
from kombu.utils.uuid import uuid

__all__ = ["Batch", "Consumer", "Producer"]

PROPERTIES = frozenset(
    {"correlation_id", "reply_to", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"}
)
"""The properties of AMQP's basic class that :meth:`Producer.publish` takes by their own name."""

Callback = Callable[[Any, Message], object]
OnReturn = Callable[[MessageReturned, Publication], object]


@runtime_checkable
class Reconnectable(Protocol):
    """A connection that can be brought back, as far as a producer knows it."""

    def reconnect(self) -> None: ...


class Producer:
    """Publishes to an exchange.

    ``channel`` is a channel, a connection, or a function that gives one, called when it is first needed.
    ``on_return(error, publication)`` is called for a mandatory message that reached no queue; without it that
    raises. Other arguments are defaults for :meth:`publish`.
    """

    def __init__(
        self,
        channel: ChannelLike | Callable[[], ChannelLike],
        exchange: Exchange | str | None = None,
        routing_key: str | None = None,
        serializer: str | None = None,
        auto_declare: bool | None = None,
        compression: str | None = None,
        on_return: OnReturn | None = None,
    ) -> None:
        self._source = channel
        self._channel: Channel | None = None
        self._declared: set[Exchange | Queue] = set()
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange or Exchange("")
        self.routing_key = routing_key or ""
        self.serializer = serializer
        self.auto_declare = auto_declare is not False
        self.compression = compression
        self.on_return = on_return

    def __repr__(self) -> str:
        return f"<Producer {self.exchange!r}>"

    @property
    def channel(self) -> Channel:
        """The channel it publishes on; opened, and the exchange declared, when first needed."""
        if self._channel is None or not self._channel.is_open:
            self.revive(self._source() if callable(self._source) else self._source)
        return cast(Channel, self._channel)

    def revive(self, channel: ChannelLike) -> None:
        """Go on with another channel, on which the exchange is declared anew."""
        self._channel = maybe_channel(channel)
        self._declared.clear()
        if self.auto_declare:
            self.maybe_declare(self.exchange)

    def declare(self) -> None:
        """Declare the exchange now."""
        self.exchange.declare(channel=self.channel)

    def maybe_declare(self, entity: Exchange | Queue) -> None:
        """Declare an exchange or a queue, once for each channel."""
        if entity not in self._declared:
            entity.declare(channel=self.channel)
            self._declared.add(entity)

    def publish(
        self,
        body: Any,
        routing_key: str | None = None,
        delivery_mode: int | str | None = None,
        mandatory: bool = False,
        immediate: bool = False,
        priority: int = 0,
        content_type: str | None = None,
        content_encoding: str | None = None,
        serializer: str | None = None,
        headers: Mapping[str, object] | None = None,
        compression: str | None = None,
        exchange: Exchange | str | None = None,
        retry: bool = False,
        retry_policy: Mapping[str, float | None] | None = None,
        declare: Iterable[Exchange | Queue] | None = None,
        expiration: float | None = None,
        timeout: float | None = None,
        delay: float = 0.0,
        **properties: object,
    ) -> None:
        """Returns once the broker has stored the message in every queue it is routed to, or raises.

        ``expiration`` (how long it is worth delivering), ``delay`` (until when it waits) and ``timeout`` (for
        all attempts together, with ``retry``) are seconds. ``mandatory``: raise
        :class:`~kombu.exceptions.MessageReturned` when no queue wants it; otherwise it is dropped then, as AMQP
        says. ``retry``: connect anew and try again on :class:`~kombu.exceptions.OperationalError`, by
        ``retry_policy`` (the fields of :class:`kombu.retry.RetryPolicy`). ``properties`` are those of AMQP's
        basic class; ``message_id`` is a new uuid unless given.

        Raises :class:`~kombu.exceptions.EncodeError` for a body that cannot be serialised.
        """
        if immediate:
            raise NotSupported("immediate=True: no broker supports it any more; use expiration")
        publication = self.prepare(
            body,
            routing_key=routing_key,
            delivery_mode=delivery_mode,
            mandatory=mandatory,
            priority=priority,
            content_type=content_type,
            content_encoding=content_encoding,
            serializer=serializer,
            headers=headers,
            compression=compression,
            exchange=exchange,
            expiration=expiration,
            delay=delay,
            **properties,
        )
        self._send([publication], declare, retry, retry_policy, timeout)

    def batch(self) -> Batch:
        """Gather messages in a ``with`` block and publish them together at its end.

        ``with producer.batch() as batch: batch.publish(…)``. Where the block raises, none is published.
        """
        return Batch(self)

    def publish_many(
        self,
        bodies: Iterable[Any],
        *,
        declare: Iterable[Exchange | Queue] | None = None,
        retry: bool = False,
        retry_policy: Mapping[str, float | None] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        """Publish many bodies together, all with the same options: those of :meth:`publish`."""
        publications = [self.prepare(body, **options) for body in bodies]
        self._send(publications, declare, retry, retry_policy, timeout)

    def prepare(
        self,
        body: Any,
        *,
        routing_key: str | None = None,
        delivery_mode: int | str | None = None,
        mandatory: bool = False,
        priority: int = 0,
        content_type: str | None = None,
        content_encoding: str | None = None,
        serializer: str | None = None,
        headers: Mapping[str, object] | None = None,
        compression: str | None = None,
        exchange: Exchange | str | None = None,
        expiration: float | None = None,
        delay: float = 0.0,
        **properties: object,
    ) -> Publication:
        """What :meth:`publish` sends: the body as bytes, with its properties. Does no I/O."""
        if unknown := set(properties) - PROPERTIES:
            raise TypeError(f"publish() has no argument {', '.join(sorted(unknown))}")
        target = self.exchange if exchange is None else exchange
        described = dict(headers or {})
        payload, content_type, content_encoding = _payload(
            body, serializer or self.serializer, content_type, content_encoding
        )
        if method := compression or self.compression:
            payload, described["compression"] = compress(payload, method)
        described_properties: dict[str, object] = {
            "content_type": content_type,
            "content_encoding": content_encoding,
            "delivery_mode": _delivery_mode(delivery_mode, target),
            "message_id": uuid(),
            **{name: _property(value) for name, value in properties.items() if value is not None},
        }
        if described:
            described_properties["headers"] = described
        if priority:
            described_properties["priority"] = priority
        if expiration is not None:
            described_properties["expiration"] = _milliseconds(expiration)
        return Publication(
            Content(payload, described_properties),
            target.name if isinstance(target, Exchange) else target,
            self.routing_key if routing_key is None else routing_key,
            mandatory,
            delay,
        )

    def close(self) -> None:
        """Let go of the channel; the connection stays open."""
        self._channel = None

    release = close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _send(
        self,
        publications: Sequence[Publication],
        declare: Iterable[Exchange | Queue] | None = None,
        retry: bool = False,
        retry_policy: Mapping[str, float | None] | None = None,
        timeout: float | None = None,
    ) -> None:
        if not publications:
            return
        if retry:
            self._with_retry(lambda: self._send_once(publications, declare), retry_policy, timeout)
        else:
            self._send_once(publications, declare)

    def _send_once(self, publications: Sequence[Publication], declare: Iterable[Exchange | Queue] | None) -> None:
        channel = self.channel
        for entity in declare or ():
            self.maybe_declare(entity)
        try:
            channel.publish_batch(publications)
        except MessageReturned as error:
            if self.on_return is None or len(publications) > 1:
                raise
            self.on_return(error, publications[0])

    def _with_retry(
        self, send: Callable[[], None], policy: Mapping[str, float | None] | None, timeout: float | None
    ) -> None:
        def reconnect(error: Exception, pause: float) -> None:
            """Only what was lost: others may use the same connection."""
            if isinstance(error, ConnectionError):
                self._channel = None
                if isinstance(self._source, Reconnectable):
                    self._source.reconnect()

        wanted = RetryPolicy(**cast(dict[str, Any], dict(policy or {})))
        retry(send, catch=(OperationalError,), policy=wanted, timeout=timeout, on_error=reconnect)


@dataclass(slots=True, init=False)
class Batch:
    """Messages that go out together: see :meth:`Producer.batch`."""

    publications: list[Publication]
    _producer: Producer

    def __init__(self, producer: Producer) -> None:
        self.publications = []
        self._producer = producer

    def publish(self, body: Any, **options: Any) -> None:
        """Add a message; ``options`` are those of :meth:`Producer.prepare`."""
        self.publications.append(self._producer.prepare(body, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self._producer._send(self.publications)
            self.publications = []


class Consumer:
    """Receives messages from queues while its connection is drained.

    Each of ``callbacks`` is called with ``(body, message)``; ``on_message(message)`` replaces them and is given
    the message undecoded. A message that cannot be decoded goes to ``on_decode_error(message, error)``; without
    it, the error is raised where the connection is drained and the message stays unsettled, so it is not lost.
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
        self.tag_prefix = tag_prefix
        self._queues: dict[str, Queue] = {}
        self._tags: dict[str, str] = {}
        if prefetch_count:
            self.qos(prefetch_count=prefetch_count)
        for queue in [queues] if isinstance(queues, Queue) else queues or ():
            self.add_queue(queue)

    def __repr__(self) -> str:
        return f"<Consumer {', '.join(self._queues)}>"

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
        """Remove what is ready in all its queues; answers how many messages those were."""
        return sum(queue.purge() for queue in self._queues.values())

    def qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages it may hold of each queue; counts for all consumers of its channel."""
        self.channel.basic_qos(prefetch_size, prefetch_count, apply_global)

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
                raise
            self.on_decode_error(message, error)
        else:
            self.receive(body, message)


def _payload(
    body: Any, serializer: str | None, content_type: str | None, content_encoding: str | None
) -> tuple[bytes, str, str]:
    """Bytes with their type and encoding; a body that comes with a content type is taken as it is."""
    if content_type is None:
        content_type, content_encoding, body = dumps(body, serializer)
    elif content_encoding is None:
        content_encoding = "utf-8" if isinstance(body, str) else "binary"
    if isinstance(body, str):
        return _encoded(body, content_encoding), content_type, content_encoding
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), content_type, content_encoding
    kind = type(body).__name__
    raise EncodeError(f"content_type={content_type!r} is for a body that is text or bytes already, not {kind}")


def _encoded(body: str, content_encoding: str) -> bytes:
    try:
        return body.encode("utf-8" if content_encoding == "binary" else content_encoding)
    except (LookupError, UnicodeEncodeError) as exc:
        raise EncodeError(f"the body cannot be encoded as {content_encoding!r}: {exc}") from exc


def _milliseconds(expiration: float) -> str:
    if not 0 <= expiration < inf:
        raise PreconditionFailed(f"expiration={expiration}: seconds from now, not negative and not for ever")
    return str(round(expiration * 1000))


def _delivery_mode(given: int | str | None, exchange: Exchange | str) -> int:
    if given is None:
        return exchange.delivery_mode if isinstance(exchange, Exchange) else Exchange().delivery_mode
    return Exchange(delivery_mode=given).delivery_mode


def _property(value: object) -> object:
    """``reply_to`` may be a queue, whose name is meant."""
    return value.name if isinstance(value, Queue) else value
