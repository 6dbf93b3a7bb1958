"""The replies to one command: whom they come to, gathered until all are there or the time is over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from kombu.clocks import LamportClock
from kombu.log import get_logger
from kombu.message import Message
from kombu.pidbox.wire import clock_of
from kombu.utils.uuid import uuid

__all__ = ["Caller", "OnReply", "Replies"]

OnReply = Callable[[Any], object]

logger = get_logger("kombu.pidbox")


class Drainable(Protocol):
    """A connection, as far as gathering needs one."""

    def drain_events(self, timeout: float | None = None) -> None: ...


class Replies:
    """Takes the replies that carry its ``ticket``; those to a command of before are late and are dropped.

    ``limit`` is how many are expected, None any number; ``callback(reply)`` hears of each.
    """

    def __init__(self, clock: LamportClock, limit: int | None = None, callback: OnReply | None = None) -> None:
        self.ticket = uuid()
        self.bodies: list[Any] = []
        self._clock = clock
        self._limit = limit
        self._callback = callback

    @property
    def complete(self) -> bool:
        return self._limit is not None and len(self.bodies) >= self._limit

    def received(self, body: Any, message: Message) -> None:
        """A message has come to the caller's queue."""
        self._clock.adjust(clock_of(message))
        if message.headers.get("ticket", self.ticket) != self.ticket or self.complete:
            return
        self.bodies.append(body)
        if self._callback is not None:
            self._callback(body)

    def not_decoded(self, message: Message, exc: Exception) -> None:
        """A reply that cannot be read does not take the others with it."""
        logger.error("a reply cannot be decoded: %r", exc)

    def gather(self, connection: Drainable, timeout: float | None) -> None:
        """Drain the connection until all are there, but for ``timeout`` seconds at most, whatever else arrives."""
        deadline = None if timeout is None else time.monotonic() + timeout
        left = timeout
        while not self.complete:
            try:
                connection.drain_events(timeout=left)
            except TimeoutError:
                if deadline is None:
                    raise
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return


class Caller:
    """Names whom replies come to: each thread of each process gets a name of its own, after a fork too."""

    def __init__(self) -> None:
        self._thread = threading.local()

    @property
    def oid(self) -> str:
        process, oid = getattr(self._thread, "name", (None, ""))
        if process != os.getpid():
            oid = uuid()
            self._thread.name = os.getpid(), oid
        return oid

    def forget(self) -> None:
        """Take another name: a queue by this one may be left behind, and belong to a connection that is lost."""
        self._thread.name = None, ""
