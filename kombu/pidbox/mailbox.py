"""A mailbox: an application's remote control, from the caller's side."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import replace
from typing import Any, Protocol, Self, TypeVar

from kombu.abstract import ChannelLike
from kombu.clocks import LamportClock
from kombu.connection import Connection
from kombu.consumer import Consumer
from kombu.entity import Exchange, Queue
from kombu.exceptions import ConnectionError, NotBoundError, OperationalError
from kombu.log import get_logger
from kombu.pidbox.node import Handler, Node
from kombu.pidbox.replies import Caller, OnReply, Replies
from kombu.pidbox.wire import Arguments, Request, control_exchange
from kombu.producer import Producer
from kombu.utils.functional import lazy, maybe_evaluate

__all__ = ["Mailbox"]

T = TypeVar("T")

logger = get_logger("kombu.pidbox")

REPLY_QUEUE_EXPIRES = 10.0
"""Seconds after which a reply queue is removed that its caller left behind."""

_AT_ONCE: Mapping[str, object] = {"max_retries": 1, "interval_start": 0.0}


class ProducerPool(Protocol):
    """What lends producers: :class:`kombu.pools.ProducerPool`."""

    def acquire(self) -> AbstractContextManager[Producer]: ...


class Mailbox:
    """Made once for an application; a call with a connection gives a copy that is bound to it.

    ``type`` is the exchange's: with ``fanout`` and with ``direct`` a command reaches every node. ``accept`` (JSON
    unless given) are the content types that are decoded, ``serializer`` is what is sent. ``producer_pool`` lends
    producers to publish with; without one the connection is used. ``queue_ttl`` and ``reply_queue_ttl`` are how many
    seconds a command or a reply waits in its queue, ``queue_expires`` and ``reply_queue_expires`` how many a queue is
    kept that nobody uses. An exclusive queue belongs to one connection: a second node of its name is refused.
    Raises ValueError for a queue that is to be durable and exclusive.
    """

    def __init__(
        self,
        namespace: str,
        type: str = "direct",
        connection: Connection | None = None,
        clock: LamportClock | None = None,
        accept: Iterable[str] | None = None,
        serializer: str | None = None,
        producer_pool: ProducerPool | lazy[ProducerPool] | None = None,
        queue_ttl: float | None = None,
        queue_expires: float | None = None,
        queue_durable: bool = False,
        queue_exclusive: bool = True,
        reply_queue_ttl: float | None = None,
        reply_queue_expires: float | None = REPLY_QUEUE_EXPIRES,
    ) -> None:
        if queue_durable and queue_exclusive:
            raise ValueError("an exclusive queue ends with its connection: a durable one needs queue_exclusive=False")
        self.namespace = namespace
        self.type = type
        self.connection = connection
        self.clock = LamportClock() if clock is None else clock
        self.accept = ["json"] if accept is None else list(accept)
        self.serializer = serializer
        self.queue_ttl = queue_ttl
        self.queue_expires = queue_expires
        self.queue_durable = queue_durable
        self.queue_exclusive = queue_exclusive
        self.reply_queue_ttl = reply_queue_ttl
        self.reply_queue_expires = reply_queue_expires
        self.exchange = control_exchange(f"{namespace}.pidbox", type)
        self.reply_exchange = control_exchange(f"reply.{namespace}.pidbox", "direct")
        self._producer_pool = producer_pool
        self._caller = Caller()

    def __repr__(self) -> str:
        return f"<Mailbox {self.namespace!r}>"

    def __call__(self, connection: Connection) -> Self:
        made = copy(self)
        made.connection = connection
        return made

    def bound(self) -> Connection:
        """Its connection; raises :class:`~kombu.exceptions.NotBoundError` when there is none."""
        if self.connection is None:
            raise NotBoundError(f"{self!r} has no connection: call it with one, as in mailbox(connection)")
        return self.connection

    def call(
        self,
        destination: Sequence[str],
        command: str,
        kwargs: Arguments | None = None,
        timeout: float | None = None,
        callback: OnReply | None = None,
        channel: ChannelLike | None = None,
    ) -> list[Any]:
        """The replies of the nodes that are named, each ``{name: reply}``.

        Waits until all are there, but for ``timeout`` seconds at most; ``callback(reply)`` hears of each as it comes.
        An error in a node is a reply too: ``{name: {"error": repr}}``. When the connection turns out to be lost, the
        command is sent once more over a new one, and a node may then do it twice. Raises
        :class:`~kombu.exceptions.OperationalError`, and ValueError for names that are not a list.
        """
        return self._broadcast(command, kwargs, destination, True, timeout, None, callback, channel) or []

    def cast(self, destination: Sequence[str], command: str, kwargs: Arguments | None = None) -> None:
        """Send a command to the nodes that are named, and expect no reply; raises what :meth:`call` raises."""
        self._broadcast(command, kwargs, destination)

    def abcast(self, command: str, kwargs: Arguments | None = None) -> None:
        """Send a command to all nodes, and expect no reply."""
        self._broadcast(command, kwargs)

    def multi_call(
        self,
        command: str,
        kwargs: Arguments | None = None,
        timeout: float | None = 1.0,
        limit: int | None = None,
        callback: OnReply | None = None,
        channel: ChannelLike | None = None,
    ) -> list[Any]:
        """The replies of all nodes that come within ``timeout`` seconds, ``limit`` of them at most; see :meth:`call`.

        Raises ValueError without a timeout and a limit, since that would never end.
        """
        return self._broadcast(command, kwargs, None, True, timeout, limit, callback, channel) or []

    def Node(
        self,
        hostname: str | None = None,
        state: Any = None,
        channel: ChannelLike | None = None,
        handlers: MutableMapping[str, Handler] | None = None,
    ) -> Node:
        """A node of this mailbox, by the name of this machine unless given another."""
        return Node(hostname or socket.gethostname(), state, channel, handlers, mailbox=self)

    def get_queue(self, hostname: str) -> Queue:
        """The queue that a node's commands wait in."""
        return Queue(
            f"{hostname}.{self.exchange.name}",
            self.exchange,
            durable=self.queue_durable,
            exclusive=self.queue_exclusive,
            auto_delete=not self.queue_durable,
            expires=self.queue_expires,
            message_ttl=self.queue_ttl,
        )

    def get_reply_queue(self) -> Queue:
        """The queue that the replies to this caller come to."""
        oid = self.oid
        return Queue(
            f"{oid}.{self.reply_exchange.name}",
            self.reply_exchange,
            routing_key=oid,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=self.reply_queue_expires,
            message_ttl=self.reply_queue_ttl,
        )

    @property
    def reply_queue(self) -> Queue:
        """What :meth:`get_reply_queue` answers."""
        return self.get_reply_queue()

    @property
    def oid(self) -> str:
        """Names the caller, which is one thread of one process."""
        return self._caller.oid

    @property
    def producer_pool(self) -> ProducerPool | None:
        pool: ProducerPool | None = maybe_evaluate(self._producer_pool)
        return pool

    @contextmanager
    def producer_or_acquire(
        self, producer: Producer | None = None, channel: ChannelLike | None = None
    ) -> Iterator[Producer]:
        """``producer``, or else one of the pool's, or one on ``channel`` or the connection, for one ``with`` block."""
        pool = self.producer_pool
        if producer is not None:
            yield producer
        elif pool is not None:
            with pool.acquire() as lent:
                yield lent
        else:
            with Producer(channel or self.bound(), auto_declare=False) as own:
                yield own

    def publish_reply(
        self,
        reply: Any,
        exchange: str,
        routing_key: str,
        ticket: str | None,
        channel: ChannelLike | None = None,
        producer: Producer | None = None,
        **options: Any,
    ) -> None:
        """Send a reply to who waits for it; ``options`` are those of :meth:`kombu.Producer.publish`."""
        options = {"routing_key": routing_key, "serializer": self.serializer} | options
        self._publish(reply, control_exchange(exchange, "direct"), {"ticket": ticket}, channel, producer, **options)

    def _broadcast(
        self,
        command: str,
        arguments: Arguments | None = None,
        destination: Sequence[str] | None = None,
        reply: bool = False,
        timeout: float | None = 1.0,
        limit: int | None = None,
        callback: OnReply | None = None,
        channel: ChannelLike | None = None,
        serializer: str | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> list[Any] | None:
        """Everything the others do: send a command to whom it is meant for, and gather the replies if asked to.

        Celery calls it by this name.
        """
        names = _names(destination)
        request = Request(
            method=command, arguments=dict(arguments or {}), destination=names, pattern=pattern, matcher=matcher
        )
        if not reply:
            self._once_more(lambda on: self._send(request, None, on, serializer), channel)
            return None
        expected = len(set(names)) if limit is None and names else limit
        if expected is None and timeout is None:
            raise ValueError(f"command {command!r}: give a timeout or a limit: nobody knows how many nodes will reply")
        return self._ask(request, timeout, lambda: Replies(self.clock, expected, callback), channel, serializer)

    def _ask(
        self,
        request: Request,
        timeout: float | None,
        make_replies: Callable[[], Replies],
        channel: ChannelLike | None,
        serializer: str | None,
    ) -> list[Any]:
        connection = self.bound()

        def send_and_listen(on: ChannelLike | None) -> tuple[Replies, Consumer]:
            replies = make_replies()
            consumer = Consumer(
                on or connection,
                [self.get_reply_queue()],
                no_ack=True,
                accept=self.accept,
                callbacks=[replies.received],
                on_decode_error=replies.not_decoded,
            )
            reply_to = {"exchange": self.reply_exchange.name, "routing_key": self.oid}
            self._send(replace(request, ticket=replies.ticket, reply_to=reply_to), timeout, on, serializer)
            consumer.consume()
            return replies, consumer

        replies, consumer = self._once_more(send_and_listen, channel)
        try:
            with consumer:
                replies.gather(connection, timeout)
        except BaseException:
            self._caller.forget()
            raise
        return replies.bodies

    def _send(
        self, request: Request, timeout: float | None, channel: ChannelLike | None, serializer: str | None
    ) -> None:
        headers = {"expires": time.time() + timeout if timeout else 0}
        self._publish(request.body(), self.exchange, headers, channel, serializer=serializer or self.serializer)

    def _publish(
        self,
        body: Any,
        exchange: Exchange,
        headers: Mapping[str, Any],
        channel: ChannelLike | None,
        producer: Producer | None = None,
        **options: Any,
    ) -> None:
        """A producer of the pool's has a connection of its own, and may bring that back."""
        with self.producer_or_acquire(producer, channel) as chosen:
            chosen.publish(
                body,
                exchange=exchange,
                declare=[exchange],
                headers={"clock": self.clock.forward(), **headers},
                **{"retry": self.producer_pool is not None, "retry_policy": _AT_ONCE, **options},
            )

    def _once_more(self, attempt: Callable[[ChannelLike | None], T], channel: ChannelLike | None) -> T:
        """A connection from a pool may have been cut while nobody used it; that shows at the first use only."""
        try:
            return attempt(channel)
        except OperationalError as exc:
            self._caller.forget()
            if isinstance(exc, ConnectionError) and self.connection is not None:
                _replace(self.connection)
                channel = None
            return attempt(channel)
        except BaseException:
            self._caller.forget()
            raise


def _replace(connection: Connection) -> None:
    """A connection that is lost may well fail to be closed; the next use opens a new one all the same."""
    try:
        connection.reconnect()
    except OperationalError as exc:
        logger.debug("a lost connection could not be closed: %r", exc)


def _names(destination: Sequence[str] | None) -> list[str] | None:
    if destination is None:
        return None
    if isinstance(destination, str) or not all(isinstance(name, str) for name in destination):
        raise ValueError(f"destination={destination!r}: a list of node names is needed")
    if not destination:
        raise ValueError("destination is an empty list, which is nobody; None means all nodes")
    return list(destination)
