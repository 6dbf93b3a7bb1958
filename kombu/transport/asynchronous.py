"""What transports whose driver is asynchronous offer beyond the contract, for :mod:`kombu.aio`.

Such a transport says ``Implements.asyncio``. A connection that is made while :data:`event_loop` is set does its
I/O in that event loop instead of in a thread: messages are handed to their consumers there, as they come, and
``drain_events`` only waits for trouble. What has to wait for the broker is still called from other threads; called in
the event loop it raises :class:`WouldWait` and has done nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from kombu.exceptions import KombuError
from kombu.transport.base import Channel, Publication

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

__all__ = ["AsynchronousChannel", "EventLoop", "WouldWait", "event_loop"]


class EventLoop(NamedTuple):
    """One that runs, in the thread with this number."""

    loop: AbstractEventLoop
    thread: int


event_loop: ContextVar[EventLoop | None] = ContextVar("event_loop", default=None)
"""Where connections that are made now do their I/O; None: in a thread of their own, or of whoever uses them."""


class WouldWait(KombuError):
    """This call waits for the broker, and was made in the event loop that hears from it."""


@runtime_checkable
class AsynchronousChannel(Channel, Protocol):
    """A channel of a connection that lives in an event loop."""

    def publish_soon(self, publications: Sequence[Publication]) -> Future[None]:
        """In the event loop: send them now; done when the broker has stored them, with the errors of ``publish_batch``.

        Raises at once what is wrong with them, and :class:`WouldWait` where something has to be asked before.
        """
