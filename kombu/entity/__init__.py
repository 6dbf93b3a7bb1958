"""Exchanges, queues and bindings as a program declares them: plain descriptions, bound to a channel when used."""

from __future__ import annotations

from kombu.abstract import maybe_channel
from kombu.entity.exchange import (
    DELIVERY_MODES,
    PERSISTENT_DELIVERY_MODE,
    TRANSIENT_DELIVERY_MODE,
    Exchange,
    binding,
)
from kombu.entity.queue import Queue

__all__ = [
    "DELIVERY_MODES",
    "PERSISTENT_DELIVERY_MODE",
    "TRANSIENT_DELIVERY_MODE",
    "Exchange",
    "Queue",
    "binding",
    "maybe_channel",
]
