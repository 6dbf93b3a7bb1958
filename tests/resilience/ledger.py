"""What publishers and consumers have seen, and what is wrong with it."""

from __future__ import annotations

import threading
from collections import Counter

from kombu import Message, aio
from tests.background import Errors


class Ledger:
    """To be shared between threads. Messages are known by their body.

    ``confirmed`` and ``uncertain`` were published, as far as their publisher knows; ``delivered`` is every delivery,
    in order; ``errors`` end the test.
    """

    def __init__(self) -> None:
        self.confirmed: set[str] = set()
        self.uncertain: set[str] = set()
        self.delivered: list[str] = []
        self.first: Counter[str] = Counter()
        self.flushed: set[str] = set()
        self.after_flush: list[str] = []
        self.errors: Errors = []
        self._lock = threading.Lock()

    def deliver(self, message: Message | aio.Message) -> None:
        body = str(message.payload)
        with self._lock:
            self.delivered.append(body)
            if not message.delivery_info.get("redelivered"):
                self.first[body] += 1
            if body in self.flushed:
                self.after_flush.append(body)

    def flush(self, bodies: set[str]) -> None:
        """Their acknowledgements have reached the broker: it has answered something that was asked later."""
        with self._lock:
            self.flushed |= bodies

    @property
    def lost(self) -> set[str]:
        """As far as is known by now."""
        return self.confirmed - set(self.delivered)

    @property
    def invented(self) -> set[str]:
        return set(self.delivered) - self.confirmed - self.uncertain

    @property
    def doubled(self) -> set[str]:
        """Stored twice: each of the two was delivered for the first time."""
        return {body for body, times in self.first.items() if times > 1}

    def times(self, body: str) -> int:
        """How often it was delivered."""
        return self.delivered.count(body)
