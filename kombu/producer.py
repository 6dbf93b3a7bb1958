"""Producer: publishing objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, Self, cast, runtime_checkable

from kombu.abstract import ChannelLike, HasDefaultChannel, has_default_channel, maybe_channel
from kombu.compression import compress
from kombu.entity import PERSISTENT_DELIVERY_MODE, Exchange, Queue
from kombu.entity.exchange import delivery_mode_of
from kombu.exceptions import (
    ConnectionError,
    MessageReturned,
    NotSupported,
    OperationalError,
)
from kombu.preparing import (
    as_bytes,
    basic_properties,
    check_priority,
    check_text,
    check_timeout,
    milliseconds,
    own_headers,
    seconds_until,
    sooner,
)
from kombu.retry import RetryPolicy, retry
from kombu.serialization import dumps
from kombu.transport.base import Channel, Content, Publication
from kombu.utils.compat import register_after_fork
from kombu.utils.deadline import Deadline, seconds_to_wait
from kombu.utils.uuid import uuid

__all__ = ["Batch", "Producer"]

RetryOptions = Mapping[str, object]
"""The fields of :class:`kombu.retry.RetryPolicy`, and ``errback(error, seconds)``, called before each pause."""

_new = tuple.__new__
"""Makes a named tuple without a step in Python: two for every message."""

OnReturn = Callable[[MessageReturned, Publication], object]
_Publish = Callable[[Sequence[Publication], float | None], None]


@runtime_checkable
class Reconnectable(Protocol):
    """A connection that can be brought back, as far as a producer knows it."""

    def reconnect(self) -> None: ...


class Producer:
    """Publishes to an exchange.

    ``channel`` is a channel, a connection, or a function that gives one, called when it is first needed.
    ``on_return(error, publication)`` is called for a mandatory message that reached no queue; without it that
    raises. Other arguments are defaults for :meth:`publish`. May be shared between threads, which then publish in
    common batches where the broker is slower than they are.
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
        register_after_fork(self, Producer._forked)

    def __repr__(self) -> str:
        return f"<Producer {self.exchange!r}>"

    @property
    def connection(self) -> HasDefaultChannel | None:
        """The connection it was made with; None for one that was made with a channel or a function."""
        return self._source if has_default_channel(self._source) else None

    @property
    def channel(self) -> Channel:
        """The channel it publishes on; opened, and the exchange declared, when first needed."""
        channel = self._channel
        if channel is None or not channel.is_open:
            self.revive(self._source() if callable(self._source) else self._source)
            channel = cast(Channel, self._channel)
        return channel

    def revive(self, channel: ChannelLike) -> None:
        """Go on with another channel, on which the exchange is declared anew."""
        self._channel = maybe_channel(channel)
        self._declared.clear()
        if self.auto_declare:
            self.maybe_declare(self.exchange)

    def ready(self, declare: Iterable[Exchange | Queue]) -> Channel | None:
        """The channel to publish on; None where it has to be opened first, or one of these to be declared."""
        channel = self._channel
        if channel is None or not channel.is_open or not self._declared.issuperset(declare):
            return None
        return channel

    def declare(self) -> None:
        """Declare the exchange now."""
        self.exchange.declare(channel=self.channel)

    def maybe_declare(self, entity: Exchange | Queue, retry: bool = False, **retry_policy: Any) -> None:
        """Declare an exchange or a queue, once for each channel; ``retry`` as in :meth:`publish`."""
        if entity in self._declared:
            return
        if retry:
            self._with_retry(lambda left: self.maybe_declare(entity), retry_policy, None)
        else:
            entity.declare(channel=self.channel)
            if entity.can_cache_declaration:
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
        retry_policy: RetryOptions | None = None,
        declare: Iterable[Exchange | Queue] | None = None,
        expiration: float | None = None,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
        delay: float | timedelta = 0.0,
        eta: datetime | None = None,
        within: object | None = None,
        **properties: object,
    ) -> None:
        """Returns once the broker has stored the message in every queue it is routed to, or raises.

        ``expiration`` (how long it is worth delivering), ``delay`` (how long it waits before), ``timeout`` (for all
        attempts together) and ``confirm_timeout`` (for the broker's answer to one) are seconds; ``eta`` is a delay
        until then, an aware datetime. ``mandatory``: raise :class:`~kombu.exceptions.MessageReturned` when no queue
        wants it; otherwise it is dropped then, as AMQP says. ``retry``: connect anew and try again on
        :class:`~kombu.exceptions.OperationalError`, by ``retry_policy``: the fields of
        :class:`kombu.retry.RetryPolicy`, and ``errback(error, seconds)``. ``within`` is the caller's open
        transaction on the queue's own database (a SQLAlchemy Session or Connection, the alias of a Django database):
        the message is part of it, and is stored when it commits; trying again is for the caller then. ``properties``
        are those of AMQP's basic class; ``message_id`` is a new uuid unless given.

        Raises :class:`~kombu.exceptions.EncodeError` for a body that cannot be serialised,
        :class:`~kombu.exceptions.PublishRefused` for a full queue that refuses, and ``TimeoutError``.
        """
        if immediate:
            raise NotSupported("immediate=True: no broker supports it any more; use expiration")
        publication = self._publication(
            body,
            routing_key,
            delivery_mode,
            mandatory,
            priority,
            content_type,
            content_encoding,
            serializer,
            headers,
            compression,
            exchange,
            expiration,
            seconds_until(delay, eta) if delay or eta is not None else 0.0,
            properties,
        )
        if timeout is not None or confirm_timeout is not None:
            check_timeout("timeout", timeout)
            check_timeout("confirm_timeout", confirm_timeout)
        if retry and within is None:
            self._send([publication], declare, retry, retry_policy, timeout, confirm_timeout)
        else:
            wait = timeout if confirm_timeout is None else sooner(timeout, confirm_timeout)
            self._send_once([publication], declare, wait, within)

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
        retry_policy: RetryOptions | None = None,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
        within: object | None = None,
        **options: Any,
    ) -> None:
        """Publish many bodies together, all with the same options: those of :meth:`publish`."""
        publications = [self.prepare(body, **options) for body in bodies]
        if publications and within is not None:
            self._send_once(publications, declare, None, within)
        else:
            self._send(publications, declare, retry, retry_policy, timeout, confirm_timeout)

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
        delay: float | timedelta = 0.0,
        eta: datetime | None = None,
        **properties: object,
    ) -> Publication:
        """What :meth:`publish` sends: the body as bytes, with its properties. Does no I/O."""
        return self._publication(
            body,
            routing_key,
            delivery_mode,
            mandatory,
            priority,
            content_type,
            content_encoding,
            serializer,
            headers,
            compression,
            exchange,
            expiration,
            seconds_until(delay, eta),
            properties,
        )

    def _publication(
        self,
        body: Any,
        routing_key: str | None,
        delivery_mode: int | str | None,
        mandatory: bool,
        priority: int,
        content_type: str | None,
        content_encoding: str | None,
        serializer: str | None,
        headers: Mapping[str, object] | None,
        compression: str | None,
        exchange: Exchange | str | None,
        expiration: float | None,
        delay: float,
        properties: Mapping[str, object],
    ) -> Publication:
        if isinstance(exchange, str):
            target, mode = exchange, PERSISTENT_DELIVERY_MODE
        else:
            entity = self.exchange if exchange is None else exchange
            target, mode = entity.name, entity.delivery_mode
        if content_type is None:
            content_type, content_encoding, body = dumps(body, serializer or self.serializer)
        payload = body if type(body) is bytes else as_bytes(body, content_type, content_encoding)
        if content_encoding is None:
            content_encoding = "utf-8" if isinstance(body, str) else "binary"
        described: dict[str, object] = {
            "content_type": content_type,
            "content_encoding": content_encoding,
            "delivery_mode": mode if delivery_mode is None else delivery_mode_of(delivery_mode),
            "message_id": None,
        }
        if properties:
            described |= basic_properties(properties)
        if described["message_id"] is None:
            described["message_id"] = uuid()
        method = compression or self.compression
        if method or headers:
            described["headers"] = own = own_headers(headers)
            if method:
                payload, own["compression"] = compress(payload, method)
        if priority:
            check_priority(priority)
            described["priority"] = priority
        if expiration is not None:
            described["expiration"] = milliseconds(expiration)
        key = self.routing_key if routing_key is None else routing_key
        if not isinstance(key, str) or not key.isascii():
            check_text("routing_key", key)
        if not target.isascii():
            check_text("exchange", target)
        return _new(Publication, (_new(Content, (payload, described)), target, key, mandatory, delay))

    def close(self) -> None:
        """Let go of the channel; the connection stays open."""
        self._channel = None

    release = close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _forked(self) -> None:
        """The channel is the parent's: a child opens its own."""
        self._channel = None

    def _send(
        self,
        publications: Sequence[Publication],
        declare: Iterable[Exchange | Queue] | None = None,
        retry: bool = False,
        retry_policy: RetryOptions | None = None,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
    ) -> None:
        if not publications:
            return
        if retry:
            wanted = list(declare or ())
            self._with_retry(
                lambda left: self._send_once(publications, wanted, sooner(left, confirm_timeout)),
                retry_policy,
                timeout,
            )
        else:
            self._send_once(publications, declare, sooner(timeout, confirm_timeout))

    def _send_once(
        self,
        publications: Sequence[Publication],
        declare: Iterable[Exchange | Queue] | None,
        timeout: float | None,
        within: object | None = None,
    ) -> None:
        channel = self._channel
        if channel is None or not channel.is_open or declare:
            with Deadline(timeout):
                channel = self._prepared(declare or ())
                timeout = None if timeout is None else seconds_to_wait(timeout)
        publish = channel.publish_batch if within is None else partial(channel.publish_batch, within=within)
        try:
            publish(publications, timeout)
        except MessageReturned as error:
            if self.on_return is None:
                raise
            self._returned(publish, publications, error, timeout)

    def _prepared(self, declare: Iterable[Exchange | Queue]) -> Channel:
        """The channel, on which these are declared."""
        channel = self.channel
        for entity in declare:
            self.maybe_declare(entity)
        return channel

    def _returned(
        self, publish: _Publish, publications: Sequence[Publication], error: MessageReturned, timeout: float | None
    ) -> None:
        """Where nothing of a batch is stored when one of it is returned, find out which, and publish the others."""
        if error.not_stored is not None:
            for each, publication in came_back(error, publications):
                if self.on_return is not None:
                    self.on_return(each, publication)
            return
        for publication in publications:
            try:
                if len(publications) > 1:
                    publish([publication], timeout)
                    continue
            except MessageReturned as refusal:
                error = refusal
            if self.on_return is not None:
                self.on_return(error, publication)

    def _with_retry(
        self, send: Callable[[float | None], None], options: RetryOptions | None, timeout: float | None
    ) -> None:
        """``send`` is given the seconds that are left."""
        given = dict(options or {})
        errback = given.pop("errback", None)
        policy = RetryPolicy(**cast(dict[str, Any], given))
        deadline = None if timeout is None else time.monotonic() + timeout

        def on_error(error: Exception, pause: float) -> None:
            """Connect anew where that was lost, and only then: others may use the same connection."""
            if callable(errback):
                errback(error, pause)
            if isinstance(error, ConnectionError):
                self._channel = None
                if isinstance(self._source, Reconnectable):
                    self._source.reconnect()

        def attempt() -> None:
            send(None if deadline is None else max(deadline - time.monotonic(), 0.0))

        retry(attempt, catch=(OperationalError,), policy=policy, timeout=timeout, on_error=on_error)


def came_back(error: MessageReturned, publications: Sequence[Publication]) -> list[tuple[MessageReturned, Publication]]:
    """Which of them did, by an error that tells; each with an error of its own."""
    found = []
    for place in error.not_stored or ():
        publication = publications[place]
        mine = MessageReturned(
            f"no queue is bound to exchange {publication.exchange!r} for routing key {publication.routing_key!r}"
        )
        mine.not_stored = (0,)
        mine.__cause__ = error
        found.append((mine, publication))
    return found


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
