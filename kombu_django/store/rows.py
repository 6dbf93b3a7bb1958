"""Claimed rows of messages: what to ask for, and what they say."""

from __future__ import annotations

from typing import Any

from kombu.transport.virtual.store import Delivery, Lease

Row = tuple[Any, ...]


def wanting(queue: str, highest: int, limit: int) -> list[Any]:
    """The parameters for up to ``limit`` messages of a queue, from its highest priority on."""
    levels = [each for priority in range(highest, -1, -1) for each in (queue, priority, limit)]
    return [*levels, limit]


def turn(row: Row) -> tuple[int, int, int]:
    """Where a message of a queue stands in line."""
    return -row[2], row[7], row[0]


def delivery(row: Row) -> Delivery:
    """The row as a value."""
    id, queue, priority, deliveries, token, expired, age, _, head, body = row
    return Delivery(
        lease=Lease(queue, id, token or 0),
        head=head,
        body=bytes(body),
        priority=priority,
        delivery_count=deliveries,
        expired=bool(expired),
        age=int(age) / 1e6,
    )
