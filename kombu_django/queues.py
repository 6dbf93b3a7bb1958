"""What the queues of a connection hold, for commands and admin pages."""

from __future__ import annotations

from dataclasses import dataclass

from kombu.exceptions import NotSupported
from kombu_django.conf import Config
from kombu_django.store import DjangoStore


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue's counts; ``oldest`` is the age of its oldest ready message, in seconds."""

    using: str
    queue: str
    ready: int
    delayed: int
    leased: int
    oldest: float | None


def queue_states(config: Config) -> list[QueueState]:
    """The queues of a ``django://`` connection, by name."""
    if config.queue_database is None:
        raise NotSupported(f"connection {config.alias!r}: only queues in a database can be listed yet")
    store = DjangoStore(config.queue_database)
    counts = store.counts(sorted(store.topology().queues))
    return [
        QueueState(config.alias, name, each.ready, each.delayed, each.leased, each.oldest)
        for name, each in sorted(counts.items())
    ]
