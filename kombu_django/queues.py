"""What the queues of a connection hold, for commands and admin pages."""

from __future__ import annotations

from dataclasses import dataclass

from kombu.connection import Connection
from kombu.exceptions import NotFound, NotSupported
from kombu.transport.virtual import VirtualConnection
from kombu.transport.virtual.store import Pausable
from kombu_django.conf import Config
from kombu_django.connections import connect


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue's counts, None where the broker does not tell; ``oldest`` is the age of its oldest ready message, in
    seconds. ``paused``: it takes messages, and gives none out."""

    using: str
    queue: str
    ready: int | None
    delayed: int | None
    leased: int | None
    oldest: float | None
    paused: bool
    consumers: int | None = None


def queue_states(config: Config) -> list[QueueState]:
    """The queues of a connection, by name.

    Raises :class:`~kombu.exceptions.NotSupported` where the broker does not tell which there are.
    """
    with connect(config) as connection:
        told, paused = connection.statistics(), _paused(connection)
    return [
        QueueState(
            config.alias, name, each.ready, each.delayed, each.leased, each.oldest, name in paused, each.consumers
        )
        for name, each in sorted(told.items())
    ]


def pause(config: Config, queue: str, paused: bool) -> None:
    """Pause a queue of a connection, or let it give out its messages again.

    Raises :class:`~kombu.exceptions.NotFound` when there is no such queue, and
    :class:`~kombu.exceptions.NotSupported` where the transport pauses none.
    """
    with connect(config) as connection:
        store = _pausable(connection)
        if store is None:
            raise NotSupported(f"connection {config.alias!r}: its transport cannot pause queues")
        if not store.pause(queue, paused):
            known = ", ".join(sorted(connection.statistics())) or "none"
            raise NotFound(f"connection {config.alias!r} has no queue {queue!r}; its queues are: {known}")


def _paused(connection: Connection) -> set[str]:
    store = _pausable(connection)
    return set() if store is None else set(store.paused())


def _pausable(connection: Connection) -> Pausable | None:
    """The store of the open connection, if it can pause queues."""
    inner = connection.connection
    return inner.store if isinstance(inner, VirtualConnection) and isinstance(inner.store, Pausable) else None
