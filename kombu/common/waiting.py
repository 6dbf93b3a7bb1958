"""Waiting for what arrives: on one connection or on several, for one queue or for all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from random import sample
from typing import Any, Protocol, cast

from kombu.abstract import ChannelLike
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer
from kombu.transport.base import Channel

__all__ = ["drain_any", "drain_consumer", "eventloop", "itermessages"]

LONGEST_TURN = 0.05
"""Seconds within which each of several connections that are waited for is looked at."""

SHORTEST_TURN = 0.005
"""Seconds that one of them is waited for at least before the next has its turn."""


class Drains(Protocol):
    """A connection, as far as waiting goes."""

    def drain_events(self, timeout: float | None = None) -> None: ...


def drain_any(connections: Iterable[Drains], timeout: float | None = None) -> None:
    """Wait for one event on any of several connections, in this thread.

    Raises ``TimeoutError`` when none came within ``timeout`` seconds; None waits for ever. All are looked at once,
    in an order that chance decides, so that none starves another; then each is waited for in turn, and an event is
    met within about 50 ms. Nothing is lost or held back: a connection that is not looked at keeps its messages.
    """
    given = list(connections)
    _drain_first(deque(sample(given, len(given))), timeout)


def eventloop(
    conn: Drains | Sequence[Drains],
    limit: int | None = None,
    timeout: float | None = None,
    ignore_timeouts: bool = False,
) -> Iterator[None]:
    """Wait for events on one connection or several, one for each step of the iteration; ``limit`` is how many steps.

    Raises ``TimeoutError`` when a step met nothing within ``timeout`` seconds; with ``ignore_timeouts`` such a step
    ends like any other, so that the caller can look at something else.
    """
    order: deque[Drains] = deque(conn if isinstance(conn, Sequence) else [conn])
    steps = 0
    while limit is None or steps < limit:
        try:
            _drain_first(order, timeout)
        except TimeoutError:
            if not ignore_timeouts:
                raise
        steps += 1
        yield


def _drain_first(order: deque[Drains], timeout: float | None) -> None:
    """One event; the connection that had it goes to the end of the line."""
    if not order:
        raise ValueError("no connections to wait for")
    if len(order) == 1:
        order[0].drain_events(timeout=timeout)
        return
    deadline = None if timeout is None else time.monotonic() + timeout
    turn = 0.0
    while True:
        for _ in range(len(order)):
            connection = order[0]
            order.rotate(-1)
            with suppress(TimeoutError):
                connection.drain_events(timeout=min(turn, _left(deadline, turn)))
                return
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"no event on any of {len(order)} connections within {timeout} seconds")
        turn = max(SHORTEST_TURN, LONGEST_TURN / len(order))


def _left(deadline: float | None, otherwise: float) -> float:
    return otherwise if deadline is None else max(0.0, deadline - time.monotonic())


def itermessages(
    conn: ChannelLike,
    channel: Channel | None,
    queue: Queue,
    limit: int | None = 1,
    timeout: float | None = None,
    callbacks: Iterable[Callable[[Any, Message], object]] | None = None,
    **options: Any,
) -> Iterator[tuple[Any, Message]]:
    """The bodies and messages of a queue as they come: :func:`drain_consumer` with a consumer of ``options``."""
    return drain_consumer(Consumer(channel or conn, [queue], **options), limit, timeout, callbacks)


def drain_consumer(
    consumer: Consumer,
    limit: int | None = 1,
    timeout: float | None = None,
    callbacks: Iterable[Callable[[Any, Message], object]] | None = None,
) -> Iterator[tuple[Any, Message]]:
    """Each body and message that a consumer is given, while the iteration goes on; settling them is the caller's.

    Ends after ``limit`` messages (None: never), or when none came within ``timeout`` seconds of waiting. ``callbacks``
    are called first, in place of the consumer's own. What came and was not asked for goes back to its queue.
    """
    arrived: deque[tuple[Any, Message]] = deque()
    connection = _connection_of(consumer.channel)
    own = consumer.callbacks, consumer.on_message
    consumer.callbacks, consumer.on_message = [*(callbacks or ()), lambda *both: arrived.append(both)], None
    given = 0
    try:
        with consumer:
            while (limit is None or given < limit) and _wait_for(connection, arrived, timeout):
                given += 1
                yield arrived.popleft()
    finally:
        consumer.callbacks, consumer.on_message = own
        _give_back(message for _, message in arrived)


def _wait_for(connection: Drains, arrived: deque[Any], timeout: float | None) -> bool:
    """Drain until something has arrived; whether it has."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not arrived:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            connection.drain_events(timeout=left)
        except TimeoutError:
            return bool(arrived)
        if left == 0:
            break
    return bool(arrived)


def _give_back(messages: Iterable[Message]) -> None:
    for message in messages:
        if not message.acknowledged and not message.no_ack and message.channel is not None and message.channel.is_open:
            message.requeue(counted=False)


def _connection_of(channel: Channel) -> Drains:
    """The transport's connection that a channel belongs to."""
    return cast(Drains, getattr(channel, "connection", None))
