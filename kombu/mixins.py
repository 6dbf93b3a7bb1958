"""ConsumerMixin and ConsumerProducerMixin: a class that consumes until it is told to stop, whatever the broker does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from typing import Any, Protocol

from kombu import undecodable
from kombu.common import ignore_errors
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from kombu.message import Message
from kombu.messaging import Consumer, Producer
from kombu.transport.base import Channel
from kombu.utils.limits import TokenBucket

__all__ = ["ConsumerMixin", "ConsumerProducerMixin"]

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 0.2
"""Seconds between looks at ``should_stop`` while waiting for anything but messages."""


class MakesConsumers(Protocol):
    """What :meth:`ConsumerMixin.get_consumers` is given: :class:`kombu.Consumer` without its first argument."""

    def __call__(self, queues: Any = None, **options: Any) -> Consumer: ...


class ConsumerMixin:
    """Consumes on a connection of its own; a lost one is replaced, with pauses that grow, and consuming goes on.

    A subclass has a ``connection`` and says with :meth:`get_consumers` what is consumed::

        class Worker(ConsumerMixin):
            def __init__(self, connection):
                self.connection = connection

            def get_consumers(self, Consumer, channel):
                return [Consumer(queues=[orders], callbacks=[self.on_order])]

            def on_order(self, body, message):
                message.ack()

        Worker(connection).run()

    ``should_stop = True``, set by any thread, ends :meth:`run` within a second, or after the message or the attempt
    to connect that is under way. What was delivered and is not settled goes back then, and when the connection is
    lost. An error of a callback that is none of the connection's ends :meth:`run`, too, and is raised there.
    """

    connection: Connection
    """What it connects like; only a clone of it is used."""
    should_stop: bool = False
    connect_max_retries: int | None = None
    """How often a failed attempt to connect is repeated before :meth:`run` raises; None is without end."""

    @cached_property
    def restart_limit(self) -> TokenBucket[object]:
        """How often a second it may begin anew after a lost connection."""
        return TokenBucket(1)

    def get_consumers(self, Consumer: MakesConsumers, channel: Channel) -> Sequence[Consumer]:
        """To be overridden: the consumers to run, made by ``Consumer(queues=…, …)``."""
        raise NotImplementedError("a subclass of ConsumerMixin needs a method get_consumers(self, Consumer, channel)")

    def on_connection_revived(self) -> None:
        """Called when a connection is there, before anything is consumed."""

    def on_consume_ready(
        self, connection: Connection, channel: Channel, consumers: Sequence[Consumer], **options: Any
    ) -> None:
        """Called when the consumers consume; ``options`` are those given to :meth:`run`."""

    def on_consume_end(self, connection: Connection, channel: Channel) -> None:
        """Called when the consumers have ended, for whatever reason; the connection may be lost."""

    def on_iteration(self) -> None:
        """Called before each wait for a message, about once a second at least."""

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Called for a message that cannot be decoded, unless its consumer has an ``on_decode_error`` of its own.

        Logs an error, and keeps it: it is rejected where its queue is declared with a dead-letter exchange, and put
        into the queue ``<queue>.dead`` elsewhere, where it would be dropped. Header ``x-rejected-because`` says why.
        """
        undecodable.keep(message, exc, self._queues)

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Called for each failed attempt to connect, with the seconds until the next one."""
        logger.warning("no connection to the broker: %s; trying again in %.1f seconds", exc, interval)

    @contextmanager
    def extra_context(self, connection: Connection, channel: Channel) -> Iterator[None]:
        """To be overridden with what shall surround the consuming."""
        yield

    def run(self, _tokens: int = 1, **options: Any) -> None:
        """Consume until ``should_stop``; ``options`` are passed on to :meth:`on_consume_ready`.

        Raises :class:`~kombu.exceptions.OperationalError` when ``connect_max_retries`` is used up.
        """
        lost: tuple[type[Exception], ...] = (OperationalError, *self.connection_errors)
        while not self.should_stop:
            self._sleep(self.restart_limit.expected_time(_tokens))
            if not self.restart_limit.can_consume(_tokens):
                continue
            self._connected = False
            try:
                for _ in self.consume(limit=None, **options):
                    pass
            except lost as exc:
                if not self._connected:
                    raise
                logger.warning("the connection to the broker was lost: %s; connecting anew", exc)

    def consume(
        self, limit: int | None, timeout: float | None = None, safety_interval: float = 1, **options: Any
    ) -> Iterator[None]:
        """Consume, one step of the iteration for each message, until there were ``limit`` (None: without end).

        Raises ``TimeoutError`` when no message came for ``timeout`` seconds, and what a lost connection raises.
        ``should_stop`` is looked at every ``safety_interval`` seconds.
        """
        steps = 0
        try:
            with self.consumer_context(**options) as (connection, *_):
                waiting_since = time.monotonic()
                while not self.should_stop and (limit is None or steps < limit):
                    self.on_iteration()
                    connection.heartbeat_check()
                    if self._drain(connection, waiting_since, timeout, safety_interval):
                        steps += 1
                        yield
                        waiting_since = time.monotonic()
        except _Stopped:
            logger.info("stopped while connecting")

    @contextmanager
    def consumer_context(self, **options: Any) -> Iterator[tuple[Connection, Channel, Sequence[Consumer]]]:
        """A connection with everything running on it, until the block ends."""
        with self.Consumer() as (connection, channel, consumers), self.extra_context(connection, channel):
            self.on_consume_ready(connection, channel, consumers, **options)
            yield connection, channel, consumers

    @contextmanager
    def Consumer(self) -> Iterator[tuple[Connection, Channel, Sequence[Consumer]]]:
        """A connection with its consumers, until the block ends."""
        with self.establish_connection() as connection:
            self.on_connection_revived()
            logger.info("connected to %s", connection.as_uri())
            channel = connection.default_channel
            make = partial(Consumer, channel, on_decode_error=self.on_decode_error)
            with ExitStack() as stack:
                stack.callback(self.on_consume_end, connection, channel)
                consumers = self.get_consumers(make, channel)
                self._queues = [queue for consumer in consumers for queue in consumer.queues]
                for consumer in consumers:
                    stack.enter_context(consumer)
                yield connection, channel, consumers

    def create_connection(self) -> Connection:
        """A connection like its own, not connected yet."""
        return self.connection.clone()

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        """A connection that is connected, until the block ends."""
        with self.create_connection() as connection:
            self._connect(connection)
            yield connection

    def maybe_conn_error(self, fun: Callable[[], object]) -> object:
        """Call ``fun`` and make None of an error of the connection or a channel."""
        return ignore_errors(self, fun)

    @property
    def connection_errors(self) -> tuple[type[Exception], ...]:
        """What a lost connection raises."""
        return self.connection.connection_errors

    @property
    def channel_errors(self) -> tuple[type[Exception], ...]:
        """What a refused operation raises."""
        return self.connection.channel_errors

    _connected = False
    _queues: Sequence[Queue] = ()

    def _connect(self, connection: Connection) -> None:
        connection.ensure_connection(
            self.on_connection_error, max_retries=self.connect_max_retries, callback=self._stop_here
        )
        self._connected = True

    def _drain(
        self, connection: Connection, waiting_since: float, timeout: float | None, safety_interval: float
    ) -> bool:
        """Whether a message came; raises ``TimeoutError`` when the wait has been long enough."""
        left = safety_interval if timeout is None else waiting_since + timeout - time.monotonic()
        try:
            connection.drain_events(timeout=max(0.0, min(left, safety_interval)))
        except TimeoutError:
            if timeout is not None and left <= safety_interval:
                raise
            return False
        return True

    def _stop_here(self) -> None:
        if self.should_stop:
            raise _Stopped

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.should_stop and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_SLEEP))


class ConsumerProducerMixin(ConsumerMixin):
    """A :class:`ConsumerMixin` whose callbacks publish, by :attr:`producer`, on a second connection.

    A broker that holds up publishers then does not hold up consumers (https://www.rabbitmq.com/docs/alarms).
    """

    _producer_connection: Connection | None = None
    _producer: Producer | None = None

    @property
    def producer(self) -> Producer:
        """Publishes on the second connection."""
        if self._producer is None:
            self._producer = Producer(self.producer_connection)
        return self._producer

    @property
    def producer_connection(self) -> Connection:
        """The second connection; connected when first asked for, closed when consuming ends."""
        if self._producer_connection is None:
            connection = self.create_connection()
            self._connect(connection)
            self._producer_connection = connection
        return self._producer_connection

    @contextmanager
    def consumer_context(self, **options: Any) -> Iterator[tuple[Connection, Channel, Sequence[Consumer]]]:
        with ExitStack() as stack:
            stack.callback(self._close_producer)
            yield stack.enter_context(super().consumer_context(**options))

    def _close_producer(self) -> None:
        connection, self._producer_connection, self._producer = self._producer_connection, None, None
        if connection is not None:
            connection.close()


class _Stopped(Exception):
    """``should_stop`` was set while there was no connection."""
