"""AMQP's operations over pika: each asks the broker, and an error of one leaves the channel usable for the next.

What is asked goes over a line that all channels of the connection share; a channel has one of its own for what its
consumers hold. An error ends a line of AMQP, so nothing is asked on that one which may be refused while it holds
something.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from pika import spec

from kombu.exceptions import (
    ChannelError,
    ConnectionError,
    KombuError,
    NotBoundError,
    NotSupported,
)
from kombu.message import Message
from kombu.transport.base import Arguments, CancelCallback, Content, MessageCallback, Publication, QueueDeclared
from kombu.transport.native import delay as stairs
from kombu.transport.native.checks import (
    check_arguments,
    check_consumer,
    check_exchange,
    check_name,
    check_qos,
    check_queue,
    wire_name,
)
from kombu.transport.native.properties import readable
from kombu.transport.native.tables import encode_table
from kombu.transport.pika.consuming import Arrival, Consumer, info_of, message_of
from kombu.transport.pika.line import Ask, Line, Reply
from kombu.transport.pika.settling import Settling
from kombu.transport.pika.wire import Properties
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    import asyncio

    from kombu.transport.pika.connection import PikaConnection

__all__ = ["Channel"]

logger = logging.getLogger(__name__)

Answered = Callable[[Any], None]


class Channel:
    """One of a connection's channels. Publishing and declaring may be shared between threads, and messages may be
    settled in any; consuming is one thread's at a time."""

    def __init__(self, connection: PikaConnection) -> None:
        self.connection = connection
        self.consumers: dict[str, Consumer] = {}
        self._options = connection.options
        self._prefetch = self._options.prefetch
        self._together = 0
        self._active = True
        self._line: Line | None = None
        self._settling = Settling(connection, self._good)
        self._closed = False
        self._getting: Answered | None = None

    @property
    def is_open(self) -> bool:
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
        check_exchange(self.connection.transport, exchange, passive, arguments, self._options.plugin_arguments)
        made = _arguments("exchange", exchange, arguments)

        def ask(channel: Any, answered: Answered) -> None:
            channel.exchange_declare(
                wire_name(exchange), type, passive, durable, auto_delete, False, made, callback=answered
            )

        self._ask(ask)

    def exchange_delete(self, exchange: str, *, if_unused: bool = False, nowait: bool = False) -> None:
        name = wire_name(exchange)
        self._ask(lambda channel, answered: channel.exchange_declare(name, passive=True, callback=answered))
        self._ask(lambda channel, answered: channel.exchange_delete(name, if_unused, answered))
        self.connection.outgoing.forget_exchange(exchange)

    def exchange_bind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        to, of, made = wire_name(destination), wire_name(source), _binding(routing_key, arguments)
        self._ask(lambda channel, answered: channel.exchange_bind(to, of, routing_key, made, answered))

    def exchange_unbind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        to, of, made = wire_name(destination), wire_name(source), _binding(routing_key, arguments)
        self._ask(lambda channel, answered: channel.exchange_unbind(to, of, routing_key, made, answered))

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
        made = _arguments("queue", queue, arguments)
        passive = passive or queue.startswith(_GIVEN)
        if not passive:
            more = self._options.plugin_arguments
            check_queue(self.connection.transport, queue, exclusive, durable, made, more)
        name = wire_name(queue)
        self.settle()

        def ask(channel: Any, answered: Answered) -> None:
            channel.queue_declare(name, passive, durable, exclusive, auto_delete, made, answered)

        found = self._ask(ask).method
        return QueueDeclared(queue or found.queue, found.message_count, found.consumer_count)

    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        if not exchange:
            return
        to, of, made = wire_name(queue), wire_name(exchange), _binding(routing_key, arguments)
        self._ask(lambda channel, answered: channel.queue_bind(to, of, routing_key, made, answered))

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        to, of, made = wire_name(queue), wire_name(exchange), _binding(routing_key, arguments)
        self._ask(lambda channel, answered: channel.queue_unbind(to, of, routing_key, made, answered))

    def queue_purge(self, queue: str, nowait: bool = False) -> int:
        name = wire_name(queue)
        return int(self._ask(lambda channel, answered: channel.queue_purge(name, answered)).method.message_count)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        name = wire_name(queue)
        self.connection.settle()
        # A queue that is not there would count as deleted: RabbitMQ answers as if it had been.
        answer = self._ask(lambda channel, answered: channel.queue_delete(name, if_unused, if_empty, answered))
        return int(answer.method.message_count)

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
        self._open()
        if within is not None:
            name = self.connection.transport
            raise NotSupported(f"publish(within=…): transport {name!r} has no transactions of the caller's")
        self.connection.outgoing.publish(publications, timeout)

    def publish_soon(self, publications: Sequence[Publication]) -> asyncio.Future[None]:
        """In the connection's event loop: see :class:`kombu.transport.asynchronous.AsynchronousChannel`."""
        self._open()
        return self.connection.outgoing.publish_soon(publications)

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
        tag = consumer_tag or f"ctag-{uuid()}"
        check_name("consumer tag", tag)
        if tag in self.consumers:
            raise ChannelError(f"consumer tag {tag!r} is in use on this channel")
        at_once = no_ack and queue.startswith(_REPLY_TO)
        check_consumer(self.connection.transport, queue, arguments, self._options.plugin_arguments)
        made = _arguments("consumer of queue", queue, arguments)
        consumer = Consumer(self, tag, queue, callback, no_ack, at_once, made, self._prefetch, on_cancel)
        self._look(queue)
        self.consumers[tag] = consumer
        self._settling.limit(min(each.prefetch or _ANY for each in self.consumers.values()))
        try:
            if self._active:
                self._ask_own(self._consume(consumer))
        except BaseException:
            self.consumers.pop(tag, None)
            raise
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        consumer = self.consumers.pop(consumer_tag, None)
        if consumer is not None and self.is_open and not consumer.ended:
            self._stop(consumer)

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
        self._open()
        self.settle()
        self._look(queue)

        def ask(channel: Any, answered: Answered) -> None:
            def got(_: Any, method: Any, properties: Any, body: bytes) -> None:
                tag = self._settling.base + method.delivery_tag
                arrival = Arrival(None, tag, method, properties.raw, body, queue)
                self._settling.hold(arrival, kept=not no_ack)
                answered(arrival)

            self._getting = answered
            channel.basic_get(wire_name(queue), got, no_ack)

        arrival = self._ask_own(ask)
        return None if arrival is None else self._message(arrival, no_ack)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages each consumer that begins from now on may hold; 0 means the option ``prefetch``.

        ``apply_global``: how many all consumers of the channel may hold together, 0 meaning as many as each may.
        """
        check_qos(prefetch_size, prefetch_count)
        if not apply_global:
            self._prefetch = prefetch_count or self._options.prefetch
            return
        self._together = prefetch_count
        self._ask_own(lambda channel, answered: channel.basic_qos(0, prefetch_count, True, answered))

    def flow(self, active: bool) -> None:
        """RabbitMQ refuses AMQP's own way: its consumers are cancelled meanwhile."""
        if active == self._active:
            return
        self._active = active
        for consumer in list(self.consumers.values()):
            if active:
                self._ask_own(self._consume(consumer))
            else:
                self._stop(consumer)

    def basic_ack(self, delivery_tag: int | str, multiple: bool = False, *, within: object | None = None) -> None:
        if within is not None:
            name = self.connection.transport
            raise NotSupported(f"ack(within=…): transport {name!r} has no transactions of the caller's")
        self._not_closed()
        self._settling.ack(int(delivery_tag), multiple)

    def basic_reject(
        self,
        delivery_tag: int | str,
        requeue: bool = False,
        *,
        delay: float = 0.0,
        because: str | None = None,
        counted: bool = True,
    ) -> None:
        self._not_closed()
        held = self._settling.find(int(delivery_tag))
        if requeue and delay:
            self._requeue_later(held, delay)
            return
        if because is not None and not requeue:
            logger.info("message %s of queue %r is rejected: %s", held.tag, held.queue, because)
        self._settling.refuse_soon(held, requeue)

    def basic_recover(self, requeue: bool = True) -> None:
        """Put everything that was delivered on this channel and is not settled back into its queue."""
        self.settle()
        for each in self._settling.handed():
            self._settling.refuse_soon(each, True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.consumers.clear()
        if self.connection.connected:
            with suppress(ConnectionError):
                self.connection.wait(self._close)
        self.connection.forget_channel(self)

    def settle(self) -> None:
        """Send the acknowledgements that are owed, soon."""
        self._settling.settle()

    def flush(self) -> None:
        """In the event loop: send them now."""
        self._settling.flush()

    def hand(self, arrival: Arrival) -> None:
        """To its consumer; in the thread that drains, or the event loop where messages are pushed."""
        consumer = arrival.consumer
        arrival.handed = True
        if consumer is None or (consumer.ended and arrival.method is None):
            return
        message = self._message(arrival, consumer.no_ack)
        if consumer.no_ack and not consumer.at_once:
            self._settling.ack(arrival.tag)
        consumer.callback(message)

    def end(self, why: KombuError) -> None:
        """In the event loop: the connection is gone."""
        self._settling.forget()
        if self._line is not None:
            self._line.end(why)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> None:
        self._not_closed()
        self.connection.check()

    def _not_closed(self) -> None:
        if self._closed:
            raise NotBoundError("this channel is closed: what it held went back to its queue")

    def _good(self) -> Any:
        return None if self._line is None else self._line.good

    def _ask(self, ask: Ask) -> Any:
        self._open()
        return self.connection.ask(ask)

    def _ask_own(self, ask: Ask) -> Any:
        """On the line that holds what was delivered."""
        self._open()
        if self._line is None:
            self._line = self.connection.line(self._prepare, self._lost)
        return self.connection.ask(ask, self._line)

    def _look(self, queue: str) -> None:
        """Raises what is wrong with the queue, where finding out otherwise would cost what is held."""
        if self.consumers or self._settling.holds:
            name = wire_name(queue)
            self._ask(lambda channel, answered: channel.queue_declare(name, passive=True, callback=answered))

    def _prepare(self, channel: Any, ready: Callable[[], None]) -> None:
        """A line was opened, perhaps again."""
        channel.add_callback(self._got_nothing, [spec.Basic.GetEmpty], one_shot=False)
        channel.add_on_cancel_callback(self._cancelled)
        if self._together:
            channel.basic_qos(0, self._together, True, lambda _: ready())
        else:
            ready()

    def _consume(self, consumer: Consumer) -> Ask:
        def ask(channel: Any, answered: Answered) -> None:
            def consume(_: Any) -> None:
                channel.basic_consume(
                    wire_name(consumer.queue),
                    partial(self._delivered, consumer),
                    consumer.at_once,
                    consumer_tag=consumer.tag,
                    arguments=dict(consumer.arguments),
                    callback=answered,
                )

            if self._together:  # RabbitMQ would forget it with a limit for each
                consume(None)
            else:
                channel.basic_qos(0, consumer.prefetch, False, consume)

        return ask

    def _stop(self, consumer: Consumer) -> None:
        """Have the broker send nothing more, and give back what has arrived and nobody was given."""

        def ask(channel: Any, answered: Answered) -> None:
            def cancelled(frame: Any) -> None:
                back = self.connection.take_back(lambda each: each.consumer is consumer and each.method is not None)
                for each in back:  # the first one first: another consumer may be given it at once
                    self._settling.refuse(each.tag, True)
                answered(frame)

            if consumer.tag in channel.consumer_tags:
                channel.basic_cancel(consumer.tag, cancelled)
            else:
                cancelled(None)

        self._ask_own(ask)

    def _delivered(self, consumer: Consumer, _: Any, method: Any, properties: Properties, body: bytes) -> None:
        tag = self._settling.base + method.delivery_tag
        arrival = Arrival(consumer, tag, method, properties.raw, body, consumer.queue)
        self._settling.hold(arrival, kept=not consumer.at_once)
        self.connection.arrive(arrival)

    def _message(self, arrival: Arrival, no_ack: bool) -> Message:
        arrival.handed = True
        tag = arrival.consumer.tag if arrival.consumer is not None else ""
        return message_of(self, arrival, no_ack, tag)

    def _got_nothing(self, _: Any) -> None:
        answered, self._getting = self._getting, None
        if answered is not None:
            answered(None)

    def _cancelled(self, frame: Any) -> None:
        """By the broker: the queue is gone."""
        consumer = self.consumers.pop(frame.method.consumer_tag, None)
        if consumer is not None:
            consumer.ended = True
            self.connection.arrive(Arrival(consumer, 0, None, b"", b"", consumer.queue))

    def _lost(self, error: KombuError) -> None:
        """The broker has ended the line, put back what it held, and would send nothing more: begin anew."""
        self._settling.forget()
        self.connection.take_back(lambda each: each.consumer is not None and each.consumer.channel is self)
        if isinstance(error, ConnectionError) or self._closed or self._line is None:
            return
        if self.consumers:
            logger.warning("the broker ended the channel of %s: %s", ", ".join(map(repr, self.consumers)), error)
        for consumer in list(self.consumers.values()):
            if self._active:
                self._line.ask(self._consume(consumer), partial(self._came_back, consumer))

    def _came_back(self, consumer: Consumer, _: Any, error: Exception | None) -> None:
        if error is not None and not isinstance(error, ConnectionError):
            self.consumers.pop(consumer.tag, None)
            consumer.ended = True
            self.connection.arrive(Arrival(consumer, 0, None, b"", b"", consumer.queue))

    def _requeue_later(self, held: Arrival, seconds: float) -> None:
        """It goes to the stairs, and when it is stored there it is acknowledged here."""
        properties = readable(held.raw)
        headers = dict(properties.get("headers") or {})
        info = info_of(held, headers, "")
        content = Content(held.body, {**properties, "headers": headers})
        key, queue, count = held.method.routing_key, wire_name(held.queue), info.get("delivery_count")
        again = stairs.requeued(content, info["exchange"], key, queue, seconds, count)
        self.publish_batch([again])
        self.basic_ack(held.tag)

    def _close(self, reply: Reply) -> None:
        """In the event loop."""
        self.flush()
        self._settling.forget()
        self.connection.take_back(lambda each: each.consumer is not None and each.consumer.channel is self)
        line, self._line = self._line, None
        channel = None if line is None else line.good
        if line is None or channel is None:
            if line is not None:
                line.end(NotBoundError("this channel is closed"))
            reply(None, None)
            return
        channel.add_on_close_callback(lambda *_: reply(None, None))
        line.end(NotBoundError("this channel is closed"))


_ANY = 2**16
"""Of a consumer that may hold any number."""

_GIVEN = "amq.gen-"
"""Names that the broker has given begin with it. It lets nobody declare one, but one may look for its queue."""

_REPLY_TO = "amq.rabbitmq.reply-to"
"""RabbitMQ's direct reply-to is consumed without acknowledgements only (https://www.rabbitmq.com/docs/direct-reply-to)."""


def _arguments(kind: str, name: str, arguments: Arguments) -> dict[str, object]:
    """Raises for what AMQP cannot carry, here and not in the event loop."""
    made = check_arguments(kind, name, arguments)
    encode_table(made)
    return made


def _binding(routing_key: str, arguments: Arguments) -> dict[str, object]:
    check_name("routing key", routing_key)
    return _arguments("binding", routing_key, arguments)
