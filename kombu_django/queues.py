"""What the queues of a connection hold, for commands and admin pages."""

from __future__ import annotations

from dataclasses import dataclass

from kombu.exceptions import NotFound, NotSupported
from kombu_django.conf import Config
from kombu_django.store import DjangoStore


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue's counts; ``oldest`` is the age of its oldest ready message, in seconds. ``paused``: it takes messages,
    and gives none out."""

    using: str
    queue: str
    ready: int
    delayed: int
    leased: int
    oldest: float | None
    paused: bool


def queue_states(config: Config) -> list[QueueState]:
    """The queues of a ``django://`` connection, by name."""
    store = _store(config)
    counts, paused = store.counts(sorted(store.topology().queues)), set(store.paused())
    return [
        QueueState(config.alias, name, each.ready, each.delayed, each.leased, each.oldest, name in paused)
        for name, each in sorted(counts.items())
    ]


def pause(config: Config, queue: str, paused: bool) -> None:
    """Pause a queue of a ``django://`` connection, or let it give out its messages again.

    Raises :class:`~kombu.exceptions.NotFound` when there is no such queue.
    """
    store = _store(config)
    if not store.pause(queue, paused):
        known = ", ".join(sorted(store.topology().queues)) or "none"
        raise NotFound(f"connection {config.alias!r} has no queue {queue!r}; its queues are: {known}")


def _store(config: Config) -> DjangoStore:
    if config.queue_database is None:
        raise NotSupported(f"connection {config.alias!r}: only queues in a database can be seen and paused yet")
    return DjangoStore(config.queue_database)
