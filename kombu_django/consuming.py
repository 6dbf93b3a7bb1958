"""The consumer runtime behind ``manage.py kombu_consume``: one process, one connection, many queues."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import close_old_connections, connections

from kombu.connection import Connection
from kombu.consumer import Consumer
from kombu.exceptions import (
    DecodeError,
    LeaseLost,
    NotFound,
    OperationalError,
    SerializerNotInstalled,
)
from kombu.message import Message
from kombu.retry import RetryPolicy
from kombu_django import inbox
from kombu_django.conf import Config
from kombu_django.connections import connect
from kombu_django.declaring import Declarer
from kombu_django.registry import Handler
from kombu_django.turns import Turns
from kombu_django.workers import Presence

logger = logging.getLogger(__name__)

_BACKOFF = RetryPolicy(interval_start=0.1, interval_step=0.5, interval_max=10.0)
_LONGEST_REASON = 4000


@dataclass(slots=True)
class Statistics:
    """What became of the messages. ``duplicates``: handled before, as the inbox knew."""

    handled: int = 0
    redelivered: int = 0
    duplicates: int = 0
    retried: int = 0
    dead: int = 0


class _HandledBefore(Exception):
    """The inbox knows this message."""


class Worker:
    """Runs the handlers of one connection until it is told to stop.

    With an atomic handler, the effects and the acknowledgement are one transaction where queue and application
    share a database; elsewhere the effects and a row of the inbox are, and the acknowledgement follows.

    ``prefetch`` messages are taken at a time for each handler. ``once``: stop when nothing came for a ``tick``,
    the seconds between looks at whether to stop. ``options`` are transport options.
    """

    def __init__(
        self,
        config: Config,
        handlers: Sequence[Handler],
        *,
        prefetch: int | None = None,
        once: bool = False,
        tick: float = 0.5,
        **options: object,
    ) -> None:
        self.config = config
        self.handlers = handlers
        self.statistics = Statistics()
        self._prefetch = prefetch
        self._once = once
        self._tick = tick
        self._options = options
        self._stop = False
        self._turns = Turns(config.database)

    def stop(self) -> None:
        """End after the message in hand; safe to call from a signal handler."""
        self._stop = True

    def run(self, on_ready: Callable[[], object]) -> None:
        """Consume until :meth:`stop`; what was not handled then goes back to its queue."""
        failures = 0
        while not self._stop:
            with connect(self.config, **self._options) as connection, Presence(self.config, self.handlers) as presence:
                channel = connection.channel()
                Declarer(self.config.alias).declare(channel)
                consumers = [self._consume(handler, connection) for handler in self.handlers]
                on_ready()
                try:
                    while not self._stop and connection.connected:
                        failures = self._drain(connection, consumers, presence, failures)
                except NotFound as exc:
                    logger.warning("%s: declaring again: %s", self.config.alias, exc)
                for consumer in consumers:
                    consumer.cancel()

    def _consume(self, handler: Handler, connection: Connection) -> Consumer:
        consumer = Consumer(
            connection.channel(),
            [handler.queue],
            on_message=partial(self._receive, handler),
            accept=handler.accept,
            prefetch_count=self._prefetch,
        )
        consumer.consume()
        return consumer

    def _drain(self, connection: Connection, consumers: Sequence[Consumer], presence: Presence, failures: int) -> int:
        """One message or one tick; the answer is how often in a row a database or broker has failed.

        No handler runs when an error comes out of here, so whatever is unsettled then goes back to its queue.
        """
        try:
            presence.renew()
            connection.drain_events(timeout=self._tick)
        except TimeoutError:
            self._stop = self._stop or self._once
            return 0
        except OperationalError as exc:
            pause = _BACKOFF.delay(failures + 1)
            logger.warning("%s: trying again in %.1f s: %s", self.config.alias, pause, exc)
            self._pause(pause)
            close_old_connections()  # as between two requests: what is lost, or was left in the midst of something
            self._give_back(consumers)
            return failures + 1
        return 0

    def _give_back(self, consumers: Sequence[Consumer]) -> None:
        for consumer in consumers:
            try:
                consumer.recover()
            except OperationalError as exc:
                logger.warning("%s: given back with the next batch: %s", self.config.alias, exc)

    def _pause(self, seconds: float) -> None:
        """Sleep in ticks, so that a signal to stop is heard."""
        until = time.monotonic() + seconds
        while not self._stop and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, self._tick))

    def _receive(self, handler: Handler, message: Message) -> None:
        if message.delivery_info.get("redelivered"):
            self.statistics.redelivered += 1
        try:
            body = message.payload
        except (DecodeError, SerializerNotInstalled) as exc:
            logger.error("%s: cannot be decoded, dead-lettered: %s", _described(message), exc)
            message.reject(because=_reason(exc))
            self.statistics.dead += 1
            return
        try:
            self._handle(handler, body, message)
        except LeaseLost as exc:
            logger.warning("%s: rolled back: %s", _described(message), exc)
        except _HandledBefore:
            self.statistics.duplicates += 1
            message.ack()
        except Exception as exc:  # noqa: BLE001 - a handler may raise anything; it is logged and the message kept
            self._failed(handler, message, exc)
        else:
            self.statistics.handled += 1
            if not message.acknowledged:
                message.ack()

    def _handle(self, handler: Handler, body: Any, message: Message) -> None:
        if not handler.atomic:
            handler.function(body, message)
            return
        with self._turns.atomic():
            if not self.config.same_database:
                self._note(handler, message)
            handler.function(body, message)
            if self.config.same_database and not message.acknowledged:
                message.ack(within=self.config.database)

    def _note(self, handler: Handler, message: Message) -> None:
        message_id = message.properties.get("message_id")
        if message_id is None:
            logger.debug("%s: has no message_id, so a redelivery cannot be told", _described(message))
        elif not inbox.first_time(self.config.database, handler.queue.name, str(message_id)):
            raise _HandledBefore

    def _failed(self, handler: Handler, message: Message, exc: Exception) -> None:
        connections[self.config.database].close_if_unusable_or_obsolete()
        if message.acknowledged:
            logger.exception("%s: failed after it was settled", _described(message), exc_info=exc)
            return
        attempt = int(message.delivery_info.get("delivery_count", 1))
        if attempt > handler.retries:
            logger.error("%s: failed %d times, dead-lettered", _described(message), attempt, exc_info=exc)
            message.reject(because=_reason(exc))
            self.statistics.dead += 1
        else:
            pause = handler.backoff.delay(attempt)
            logger.warning("%s: failed, tried again in %.1f s", _described(message), pause, exc_info=exc)
            message.requeue(delay=pause)
            self.statistics.retried += 1


def _described(message: Message) -> str:
    return f"message {message.properties.get('message_id')} of queue {message.delivery_info.get('queue')!r}"


def _reason(exc: Exception) -> str:
    """What the dead-letter queue tells: the error, and the line that raised it."""
    frames = traceback.extract_tb(exc.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(exc).__name__}: {exc}{place}"[:_LONGEST_REASON]
