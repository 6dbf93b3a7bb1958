"""Producer: publishing objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, Self, cast, runtime_checkable

from kombu.abstract import ChannelLike, maybe_channel
from kombu.compression import compress
from kombu.entity import Exchange, Queue
from kombu.exceptions import (
    ConnectionError,
    EncodeError,
    MessageReturned,
    NotSupported,
    OperationalError,
    PreconditionFailed,
)
from kombu.retry import RetryPolicy, retry
from kombu.serialization import dumps
from kombu.transport.base import Channel, Content, Publication
from kombu.utils.uuid import uuid

__all__ = ["Batch", "Producer"]

PROPERTIES = frozenset(
    {"correlation_id", "reply_to", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"}
)
"""The properties of AMQP's basic class that :meth:`Producer.publish` takes by their own name."""

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
