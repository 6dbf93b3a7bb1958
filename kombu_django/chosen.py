"""Requeue and discard chosen messages of a database's queues, as an operator does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kombu.transport.virtual.deadletter import restored
from kombu.transport.virtual.store import Delivery, Done, Move, Outcome, Release, TopologyMoved
from kombu_django.models import Message
from kombu_django.store import DjangoStore

_LEASE = 30.0


def requeue(database: str, messages: Iterable[Message]) -> int:
    """Deliver them anew, at once: dead letters to the queue they came from. Answers how many that was.

    Messages that a consumer holds are left alone, and so are dead letters whose queue is gone.
    """
    return _settle_each(database, messages, lambda delivery: Move(delivery.lease, (restored(delivery),)))


def discard(database: str, messages: Iterable[Message]) -> int:
    """Remove them, but for those that a consumer holds. Answers how many that was."""
    return _settle_each(database, messages, lambda delivery: Done(delivery.lease))


def _settle_each(database: str, messages: Iterable[Message], outcome: Callable[[Delivery], Outcome]) -> int:
    store = DjangoStore(database)
    return sum(_settled(store, outcome(delivery)) for delivery in _claimed(store, list(messages)))


def _claimed(store: DjangoStore, messages: Sequence[Message]) -> list[Delivery]:
    queues = {message.queue.name for message in messages}
    return [
        delivery
        for queue in sorted(queues)
        for delivery in store.claim_chosen(queue, [m.pk for m in messages if m.queue.name == queue], _LEASE)
    ]


def _settled(store: DjangoStore, outcome: Outcome) -> bool:
    try:
        return store.settle([outcome])[0]
    except TopologyMoved:
        store.settle([Release(outcome.lease, counted=False)])
        return False
