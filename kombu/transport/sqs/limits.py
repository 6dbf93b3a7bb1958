"""What AWS allows, so that it is refused here and not there: compatible servers are more lenient than AWS is.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

T = TypeVar("T")

BATCH = 10
"""Messages in one request."""

WAIT = 20
"""Seconds of a long poll."""

BILLED = 65_536
"""Bytes that are billed as one request."""

TOPIC_SIZE = 262_144
"""Bytes of a message through SNS, and of a batch of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds and bytes. ``delay``: that a message may be sent with. ``visibility``: that it may be invisible after it
    was received, all in all. ``size``: of a message with its attributes, and of a batch."""

    delay: int = 900
    visibility: int = 43_200
    size: int = 1_048_576


AWS = Limits()


def whole(seconds: float) -> int:
    """AWS counts in whole seconds; nothing may come earlier than was asked for."""
    return max(ceil(seconds), 0)


def batches(items: Sequence[T], size_of: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """In their order, ten at most together, of ``most`` bytes at most."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and (len(batch) == BATCH or total + size > most):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


def tens(items: Sequence[T]) -> Iterator[list[T]]:
    """Ten at most together."""
    return (list(items[at : at + BATCH]) for at in range(0, len(items), BATCH))
