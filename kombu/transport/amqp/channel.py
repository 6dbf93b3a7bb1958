"""A channel as programs hold it: AMQP's operations, each with a deadline, from any thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from kombu.exceptions import NotBoundError, NotFound, NotSupported, PreconditionFailed
from kombu.message import Message
from kombu.transport.amqp.consuming import Consuming
from kombu.transport.amqp.link import deadline_in
from kombu.transport.amqp.received import Received, Subscription
from kombu.transport.base import Arguments, CancelCallback, Content, MessageCallback, Publication, QueueDeclared
from kombu.transport.native.checks import check_arguments, check_consumer, check_name, check_qos
from kombu.transport.native.delay import bindings, requeued, top_level
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from kombu.transport.amqp.connection import AMQPConnection

__all__ = ["Channel"]


class Channel:
    """It stays usable after an error: the broker closes one of its own channels then, and another is opened.

    What is declared and published goes through channels that all of the connection share; one of this channel's own is
    opened when it consumes.
    """

    def __init__(self, connection: AMQPConnection) -> None:
        self.connection = connection
        self._closed = False
        self._lock = connection.link.lock
        self.consuming = Consuming(
            connection.link,
            connection.asking,
            connection.ready,
            self,
            connection.options.prefetch,
            connection.options.settle_delay,
        )

    @property
    def is_open(self) -> bool:
        """Neither closed nor on a connection that is lost."""
        return not self._closed and self.connection.connected

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = True,
        auto_delete: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        """Here and in the other methods, ``nowait`` means nothing: an error that nobody waits for would be lost."""
        asking = self._open().asking
        with self._lock:
            asking.declare_exchange(exchange, type, passive, durable, auto_delete, arguments, self._deadline())

    def exchange_delete(self, exchange: str, *, if_unused: bool = False, nowait: bool = False) -> None:
        asking = self._open().asking
        with self._lock:
            asking.delete_exchange(exchange, if_unused, self._deadline())

    def exchange_bind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        asking = self._open().asking
        with self._lock:
            asking.bind_exchange(destination, source, routing_key, arguments, self._deadline())

    def exchange_unbind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        asking = self._open().asking
        with self._lock:
            asking.bind_exchange(destination, source, routing_key, arguments, self._deadline(), unbind=True)
            asking.forget_exchange(source)

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> QueueDeclared:
        """A name that the broker made up could not be declared again on another connection: here we make it up."""
        asking = self._open().asking
        queue = queue or f"kombu.gen-{uuid()}"
        with self._lock:
            return asking.declare_queue(queue, passive, durable, exclusive, auto_delete, arguments, self._deadline())

    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        if not exchange:
            return  # the default exchange leads to every queue
        asking = self._open().asking
        with self._lock:
            asking.bind_queue(queue, exchange, routing_key, arguments, self._deadline())

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        asking = self._open().asking
        with self._lock:
            asking.unbind_queue(queue, exchange, routing_key, arguments, self._deadline())
            asking.forget_exchange(exchange)

    def queue_purge(self, queue: str, nowait: bool = False) -> int:
        asking = self._open().asking
        with self._lock:
            return asking.purge_queue(queue, self._deadline())

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        asking = self._open().asking
        with self._lock:
            removed = asking.delete_queue(queue, if_unused, if_empty, self._deadline())
            asking.forget_exchanges()  # those that went with their last binding
            return removed

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        timeout: float | None = None,
    ) -> None:
        self.publish_batch([Publication(content, exchange, routing_key, mandatory, delay)], timeout)

    def publish_batch(
        self, publications: Sequence[Publication], timeout: float | None = None, *, within: object | None = None
    ) -> None:
        """Each message is stored by itself: a ``ChannelError`` says with ``not_stored`` which were not."""
        if within is not None:
            raise NotSupported(f"publish(within=…): transport {self.connection.driver!r} has no transactions of yours")
        if self._closed:
            self._open()
        self.connection.publish(publications, timeout)

    def basic_consume(
        self,
        queue: str,
        *,
        callback: MessageCallback,
        consumer_tag: str = "",
        no_ack: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
        on_cancel: CancelCallback | None = None,
    ) -> str:
        self._open()
        check_name("queue", queue)
        tag, consuming = consumer_tag or f"ctag-{uuid()}", self.consuming
        check_consumer(self.connection.driver, queue, arguments, self.connection.options.plugin_arguments)
        given = check_arguments("queue", queue, arguments)
        if len(tag.encode()) > _MAX_TAG:
            raise PreconditionFailed(f"a consumer tag has {_MAX_TAG} bytes at most, not {len(tag.encode())}")
        with self._lock:
            subscription = Subscription(consuming, tag, queue, no_ack, consuming.prefetch, given, callback, on_cancel)
            consuming.consume(subscription, self._deadline())
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        with self._lock:
            self.consuming.cancel(consumer_tag, self._deadline())

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
        self._open()
        check_name("queue", queue)
        with self._lock:
            return self.consuming.get(queue, no_ack, self._deadline())

    def basic_ack(self, delivery_tag: int | str, multiple: bool = False, *, within: object | None = None) -> None:
        if within is not None:
            raise NotSupported(f"ack(within=…): transport {self.connection.driver!r} has no transactions of yours")
        tag = delivery_tag if type(delivery_tag) is int else int(delivery_tag)
        with self._lock:
            if multiple:
                self.consuming.ack_up_to(tag, self._deadline())
            else:
                self.consuming.ack(tag, self.connection.deadline)

    def basic_reject(
        self,
        delivery_tag: int | str,
        requeue: bool = False,
        *,
        delay: float = 0.0,
        because: str | None = None,
        counted: bool = True,
    ) -> None:
        """RabbitMQ counts every delivery, where it counts, and keeps no reason: ``counted`` and ``because`` are for
        transports that do otherwise.

        With a ``delay`` the message is published anew, for its queue, and then acknowledged: a crash between the two
        repeats it.
        """
        tag = int(delivery_tag)
        if requeue and delay > 0:
            self._requeue_later(tag, delay)
            return
        with self._lock:
            self.consuming.reject(tag, requeue, self._deadline())

    def basic_recover(self, requeue: bool = True) -> None:
        if not requeue:
            raise NotSupported(f"basic_recover(requeue=False): transport {self.connection.driver!r} has no such thing")
        with self._lock:
            self.consuming.recover(self._deadline())

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages each consumer that begins from now on may hold; 0 means the transport's default.

        ``apply_global``: how many all consumers of the channel may hold together, 0 meaning as many as each may; as
        RabbitMQ has it (https://www.rabbitmq.com/docs/consumer-prefetch). Quorum queues do not have that.
        """
        check_qos(prefetch_size, prefetch_count)
        with self._lock:
            count = prefetch_count if apply_global else prefetch_count or self.connection.options.prefetch
            self.consuming.qos(count, apply_global, self._deadline())

    def flow(self, active: bool) -> None:
        """RabbitMQ has no channel.flow: what it sends ahead, up to the prefetch, is kept here meanwhile."""
        with self._lock:
            consuming = self.consuming
            consuming.paused = not active
            if active:
                self.connection.ready.entries.extendleft(reversed(consuming.parked))
                consuming.parked = []
                self.connection.link.wire.stir()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.connection.forget(self)
        if self.connection.connected:
            with self._lock:
                self.consuming.shut(self._deadline())

    def end(self) -> None:
        """The connection is closed, and this with it."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> AMQPConnection:
        if self._closed:
            raise NotBoundError("this channel is closed")
        return self.connection

    def _deadline(self) -> float:
        return deadline_in(None, self.connection.options.operation_timeout)

    def _requeue_later(self, tag: int, delay: float) -> None:
        with self._lock:
            message = self.consuming.held(tag)
        publication = _again_later(message, delay)
        try:
            self.connection.publish_later([publication], bindings([publication]), top_level(delay))
        except NotFound:
            if self._queue_is_there(message.queue):
                raise
        with self._lock:
            self.consuming.ack(tag, self._deadline())
            self.consuming.flush(self._deadline())

    def _queue_is_there(self, queue: str) -> bool:
        """A message goes with its queue."""
        with self._lock:
            return self.connection.asking.has_queue(queue, self._deadline())


_MAX_TAG = 255


def _again_later(message: Received, delay: float) -> Publication:
    info = message.delivery_info
    count = info.get("delivery_count")
    return requeued(
        message.content(),
        str(info["exchange"]),
        str(info["routing_key"]),
        message.queue,
        delay,
        count if isinstance(count, int) else None,
    )
