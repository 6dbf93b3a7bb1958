"""What an operator does to the queues of a connection: look at what waits there, deliver chosen messages anew or
discard them, pause a queue.

Each raises :class:`~kombu.exceptions.NotSupported` where the broker cannot: RabbitMQ, for one, whose management pages
do these things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import NotFound, NotSupported
from kombu.message import Message
from kombu.transport.virtual.deadletter import restored
from kombu.transport.virtual.head import decode_head
from kombu.transport.virtual.store import (
    Browsable,
    Delivery,
    Done,
    MessageId,
    Move,
    Outcome,
    Pausable,
    Release,
    Store,
    TopologyMoved,
)

__all__ = ["Waiting", "browse", "discard", "discard_chosen", "pause", "paused", "requeue", "requeue_chosen", "resume"]

_LEASE = 30.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in its queue. ``id`` is for :func:`requeue` and :func:`discard`; ``message`` is for looking at, and
    cannot be settled."""

    id: MessageId
    message: Message


def browse(
    connection: Connection, queue: str | Queue, limit: int = 100, after: MessageId | None = None
) -> list[Waiting]:
    """Up to ``limit`` messages in the order they were stored, without taking them: delayed ones, and such that
    consumers hold, too. ``after`` goes on behind the ``id`` of an earlier page's last one."""
    store = _browsable(connection, "browse")
    return [Waiting(delivery.lease.id, _shown(delivery)) for delivery in store.browse(_name(queue), limit, after)]


def requeue(connection: Connection, queue: str | Queue, ids: Iterable[MessageId]) -> int:
    """Deliver these messages anew, at once: dead letters to the queue they came from. Answers how many that was.

    Messages that a consumer holds are left alone, and so are dead letters whose queue is gone.
    """
    return requeue_chosen(_browsable(connection, "requeue"), _name(queue), ids)


def discard(connection: Connection, queue: str | Queue, ids: Iterable[MessageId]) -> int:
    """Remove these messages, but for those that a consumer holds. Answers how many that was."""
    return discard_chosen(_browsable(connection, "discard"), _name(queue), ids)


def pause(connection: Connection, queue: str | Queue) -> None:
    """Let it take messages and give none out, for all processes. What consumers hold already they may settle.

    Raises :class:`~kombu.exceptions.NotFound` for a queue that does not exist.
    """
    _pause(connection, queue, True)


def resume(connection: Connection, queue: str | Queue) -> None:
    """Let it give out again what it has; raises like :func:`pause`."""
    _pause(connection, queue, False)


def paused(connection: Connection) -> list[str]:
    """The queues that are."""
    return _pausable(connection, "paused").paused()


def requeue_chosen(store: Browsable, queue: str, ids: Iterable[MessageId]) -> int:
    """:func:`requeue`, of a store."""
    return _settle_each(store, queue, ids, lambda delivery: Move(delivery.lease, (restored(delivery),)))


def discard_chosen(store: Browsable, queue: str, ids: Iterable[MessageId]) -> int:
    """:func:`discard`, of a store."""
    return _settle_each(store, queue, ids, lambda delivery: Done(delivery.lease))


def _settle_each(store: Browsable, queue: str, ids: Iterable[MessageId], outcome: Callable[[Delivery], Outcome]) -> int:
    chosen = store.claim_chosen(queue, list(ids), _LEASE)
    return sum(_settled(cast(Store, store), outcome(delivery)) for delivery in chosen)


def _settled(store: Store, outcome: Outcome) -> bool:
    try:
        return store.settle([outcome])[0]
    except TopologyMoved:
        store.settle([Release(outcome.lease, counted=False)])
        return False


def _pause(connection: Connection, queue: str | Queue, wanted: bool) -> None:
    if not _pausable(connection, "pause" if wanted else "resume").pause(_name(queue), wanted):
        raise NotFound(f"no queue {_name(queue)!r} to pause or resume")


def _browsable(connection: Connection, call: str) -> Browsable:
    store = _store(connection)
    if not isinstance(store, Browsable):
        raise _not_able(connection, store, call)
    return store


def _pausable(connection: Connection, call: str) -> Pausable:
    store = _store(connection)
    if not isinstance(store, Pausable):
        raise _not_able(connection, store, call)
    return store


def _store(connection: Connection) -> Any:
    return getattr(connection.connect(), "store", None)


def _not_able(connection: Connection, store: Any, call: str) -> NotSupported:
    name = connection.transport_cls if store is None else store.capabilities.name
    return NotSupported(f"{call}(): transport {name!r} has no such operation")


def _name(queue: str | Queue) -> str:
    return queue.name if isinstance(queue, Queue) else queue


def _shown(delivery: Delivery) -> Message:
    head = decode_head(delivery.head)
    return Message(
        delivery.body,
        content_type=head.content_type,
        content_encoding=head.content_encoding,
        headers=head.headers,
        properties=dict(head.properties),
        delivery_info={
            "exchange": head.exchange,
            "routing_key": head.routing_key,
            "queue": delivery.lease.queue,
            "delivery_count": delivery.delivery_count,
            "age": delivery.age,
        },
    )
