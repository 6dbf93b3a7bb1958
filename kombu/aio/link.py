"""The seam between the nouns of asyncio and whatever does their work: a thread, or a driver that is asynchronous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from kombu.aio.jobs import Order
from kombu.aio.subscription import Subscription
from kombu.connection import Connection

T = TypeVar("T")


class Link(Protocol):
    """How a connection of :mod:`kombu.aio` reaches its broker.

    :meth:`run` is for what is rare (declaring, deleting, looking), and may always be a thread with a blocking
    connection. A driver that is asynchronous itself takes over the other verbs. All raise what the blocking API
    raises, and ``NotBoundError`` once the link is closed.
    """

    @property
    def running(self) -> bool:
        """Whether there is something to close."""

    async def run(self, work: Callable[[Connection], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work(connection)`` returns. ``undo(result)`` follows where the caller was cancelled meanwhile."""

    async def publish(self, order: Order) -> None:
        """Returns once the broker has stored it, in one batch with what others publish at the same time."""

    async def subscribe(self, subscription: Subscription) -> None:
        """Fill the subscription from now on, also after the connection was lost and came back."""

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End it; what it holds goes back to its queues, in order."""

    async def settle(self, verb: Callable[[], None]) -> None:
        """Acknowledge, reject or requeue."""

    def settle_later(self, verb: Callable[[], None]) -> None:
        """The same, with nobody waiting for it."""

    async def close(self) -> None:
        """Give back what is held, write what is owed, disconnect."""

    def abandon(self) -> None:
        """From any thread and at any moment: close it soon, with nobody waiting."""
