"""What a channel holds for its consumers, and the acknowledgements that it owes the broker.

Who is given a message may settle it in any thread. What is sent for it is sent in the event loop, in one order: an
acknowledgement of several must not count one as settled that is being refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from pika.channel import Channel as PikaChannel

from kombu.exceptions import ConnectionError, KombuError, LeaseLost, PreconditionFailed
from kombu.transport.native.unsettled import Unsettled
from kombu.transport.pika.consuming import Arrival

if TYPE_CHECKING:
    from kombu.transport.pika.connection import PikaConnection

__all__ = ["Settling"]

_MOST_OWED = 64
"""Acknowledgements that are sent together at most."""


class Settling:
    """``line()`` is pika's channel where something may be sent on it now. Tags that users see go on rising where those
    of the broker begin anew, with another channel: ``base`` is the difference."""

    def __init__(self, connection: PikaConnection, line: Callable[[], PikaChannel | None]) -> None:
        self.base = 0
        self._connection = connection
        self._delay = connection.options.settle_delay
        self._line = line
        self._unsettled = Unsettled()
        self._lock = Lock()
        self._latest = 0
        self._armed = False
        self._enough = _MOST_OWED

    @property
    def holds(self) -> bool:
        return bool(self._unsettled.held)

    def limit(self, prefetch: int) -> None:
        """Half of what a consumer may hold is owed at most: the broker can send more while the rest is at work."""
        self._enough = max(1, min(prefetch // 2, _MOST_OWED)) if prefetch else _MOST_OWED

    def hold(self, arrival: Arrival, kept: bool) -> None:
        """In the event loop, in the order in which they come. ``kept``: it is to be settled."""
        self._latest = arrival.tag
        if kept:
            with self._lock:
                self._unsettled.held[arrival.tag] = arrival

    def ack(self, tag: int, multiple: bool = False) -> None:
        """Raises where it is not held."""
        with self._lock:
            arrival = self._held(tag)
            if arrival is None:
                raise self.unknown(tag)
            for each in self._unsettled.up_to(tag) if multiple else (tag,):
                found = self._held(each)
                if found is not None and not found.refused:
                    self._unsettled.ack(each)
            owed = len(self._unsettled.owed)
        self._owe(owed)

    def find(self, tag: int) -> Arrival:
        """Raises where it is not held."""
        with self._lock:
            arrival = self._held(tag)
        if arrival is None:
            raise self.unknown(tag)
        return arrival

    def refuse_soon(self, arrival: Arrival, requeue: bool) -> None:
        """From any thread."""
        with self._lock:
            arrival.refused = True
        self._connection.soon(partial(self.refuse, arrival.tag, requeue))

    def refuse(self, tag: int, requeue: bool) -> None:
        """In the event loop."""
        with self._lock:
            held, base = self._unsettled.held.pop(tag, None), self.base
        line = self._line()
        if held is not None and line is not None:
            line.basic_nack(tag - base, False, requeue)

    def handed(self) -> list[Arrival]:
        """What is out, and was not settled."""
        with self._lock:
            held = list(self._unsettled.held.values())
        return [each for each in held if isinstance(each, Arrival) and each.handed]

    def settle(self) -> None:
        """Send what is owed, soon."""
        if self._unsettled.owed and self._connection.connected:
            self._connection.soon(self.flush)

    def flush(self) -> None:
        """In the event loop: send it now."""
        with self._lock:
            self._armed = False
            acks, base = self._unsettled.due(), self.base
        line = self._line()
        if acks is None or line is None:
            return
        if acks.up_to:
            line.basic_ack(acks.up_to - base, True)
        for tag in acks.singly:
            line.basic_ack(tag - base)

    def forget(self) -> None:
        """The broker has put back what was held."""
        with self._lock:
            self.base = self._latest
            self._unsettled.clear()

    def unknown(self, tag: int) -> KombuError:
        """The error for a message that is not held."""
        if not self._connection.connected:
            return ConnectionError(f"the connection is gone, and message {tag} went back to its queue")
        if 0 < tag <= self.base:
            return LeaseLost(f"message {tag} went back to its queue when the broker ended the channel")
        return PreconditionFailed(f"no unsettled message has the delivery tag {tag} on this channel")

    def _held(self, tag: int) -> Arrival | None:
        found = self._unsettled.held.get(tag)
        return found if isinstance(found, Arrival) and self._connection.connected else None

    def _owe(self, owed: int) -> None:
        """So many acknowledgements, to be sent together with more, but not late."""
        if not self._delay or owed == self._enough:
            self._connection.soon(self.flush)
        elif not self._armed:
            self._armed = True
            self._connection.soon(partial(self._flush_in, 0.0 if self._connection.home.here else self._delay))

    def _flush_in(self, seconds: float) -> None:
        self._connection.home.loop.call_later(seconds, self.flush)
