"""Rows as values: claimed messages, and what is declared."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import Any, NamedTuple, cast

from kombu.sql.database import Row
from kombu.sql.floors import NO_FLOORS, Floors
from kombu.transport.virtual.store import Delivery, Lease, QueueSpec
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec
from kombu.utils import json


def wanting(queue: str, highest: int, limit: int, floors: Floors = NO_FLOORS) -> list[Any]:
    """The parameters for up to ``limit`` messages of a queue, from its highest priority on."""
    levels = [(queue, priority, floors.get((queue, priority), 0), limit) for priority in range(highest, -1, -1)]
    return [*chain.from_iterable(levels), limit]


def turn(row: Row) -> tuple[int, int, int]:
    """Where a message of a queue stands in line."""
    return -row[2], row[7], row[0]


def delivery(row: Row, queue: str) -> Delivery:
    """The row as a value."""
    id, _, priority, deliveries, token, expired, age, _, head, body = row
    lease = Lease(queue, id, token or 0)
    return Delivery(lease, head, bytes(body), priority, deliveries, bool(expired), int(age) / 1e6)


class QueueRow(NamedTuple):
    """A queue as it is kept."""

    id: int
    spec: QueueSpec
    expires_at: int | None


def queue_row(row: Row) -> QueueRow:
    """A row of ``queues_sql.COLUMNS``."""
    id, *declared, expires_at = row
    return QueueRow(id, queue_spec(tuple(declared)), expires_at)


def queue_spec(row: Row) -> QueueSpec:
    """A row of ``topology_sql.QUEUE``."""
    name, durable, exclusive, auto_delete, arguments = row
    return QueueSpec(
        name=name,
        durable=bool(durable),
        exclusive=bool(exclusive),
        auto_delete=bool(auto_delete),
        arguments=_arguments(arguments),
    )


def exchange_spec(row: Row) -> ExchangeSpec:
    """A row of ``topology_sql.EXCHANGE``."""
    name, type, durable, auto_delete, arguments = row
    return ExchangeSpec(
        name=name, type=type, durable=bool(durable), auto_delete=bool(auto_delete), arguments=_arguments(arguments)
    )


def binding_spec(row: Row) -> BindingSpec:
    """A row of ``topology_sql.BINDING``."""
    source, destination, routing_key, arguments, to_exchange = row
    return BindingSpec(
        source=source,
        destination=destination,
        routing_key=routing_key,
        arguments=_arguments(arguments),
        to_exchange=bool(to_exchange),
    )


def digest(binding: BindingSpec) -> str:
    """What makes a binding the same as another: SHA-256 over its five parts."""
    parts = [
        binding.source,
        binding.destination,
        "exchange" if binding.to_exchange else "queue",
        binding.routing_key,
        json.dumps(dict(sorted(binding.arguments.items()))),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def micro(seconds: float) -> int:
    """Whole microseconds, in which the database counts."""
    return round(seconds * 1e6)


def _arguments(text: str) -> dict[str, object]:
    return cast(dict[str, object], json.loads(text))
