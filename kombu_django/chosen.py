"""Requeue and discard chosen messages of a database's queues, as an operator does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kombu.operating import discard_chosen, requeue_chosen
from kombu.transport.virtual.store import Browsable, MessageId
from kombu_django.models import Message
from kombu_django.store import DjangoStore


def requeue(database: str, messages: Iterable[Message]) -> int:
    """See :func:`kombu.operating.requeue`."""
    return _by_queue(database, messages, requeue_chosen)


def discard(database: str, messages: Iterable[Message]) -> int:
    """See :func:`kombu.operating.discard`."""
    return _by_queue(database, messages, discard_chosen)


def _by_queue(database: str, messages: Iterable[Message], act: Callable[[Browsable, str, list[MessageId]], int]) -> int:
    chosen: dict[str, list[MessageId]] = {}
    for message in messages:
        chosen.setdefault(message.queue.name, []).append(message.pk)
    store = DjangoStore(database)
    return sum(act(store, queue, chosen[queue]) for queue in sorted(chosen))
