"""A lock that all processes share: the one message of a FIFO queue, in the hands of whoever has received it.

AWS gives nothing else of a message group out while one of its messages is in flight, so that it does no harm when there
are two. Who dies with the lock in hand loses it when its visibility timeout is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError
from kombu.transport.sqs.calls import Answer, Calls
from kombu.utils.uuid import uuid

_HELD = 30
"""Seconds until another may have it."""

_PATIENCE = 45.0
"""Seconds that one waits for it; more than a dead holder keeps it."""

_SAFE = 0.6
"""The part of the time in which its holder still begins to write."""

_GROUP = "lock"
_OLD = 86_400.0
"""Seconds after which the message is replaced, so that it does not get as old as SQS lets messages be (14 days)."""


class QueueLock:
    """On one queue, which the caller makes."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._ours = threading.RLock()
        self._until = 0.0

    @property
    def safe(self) -> bool:
        """Whether it is still held for long enough to write something."""
        return time.monotonic() < self._until

    @contextmanager
    def held(self, url: str) -> Iterator[None]:
        """Raises :class:`OperationalError` when somebody else has it all the time."""
        with self._ours:
            message = self._acquire(url)
            try:
                yield
            finally:
                self._until = 0.0
                self._release(url, message)

    def make(self, url: str) -> None:
        """The message of a new queue. Of two who do so at once, one makes it."""
        self._send(url, "first")

    def _acquire(self, url: str) -> Answer:
        deadline = time.monotonic() + _PATIENCE
        wait = 0
        while time.monotonic() < deadline:
            asked = time.monotonic()
            answer = self._calls.poll(
                QueueUrl=url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=wait,
                VisibilityTimeout=_HELD,
                AttributeNames=["SentTimestamp"],
            )
            if messages := answer.get("Messages"):
                self._until = max(asked, time.monotonic() - 1.0) + _HELD * _SAFE
                return dict(messages[0])
            if wait and self._is_lost(url):
                self._send(url, uuid())
            wait = min(2, self._calls.settings.wait_time_seconds)
        raise OperationalError(f"another process has been changing the topology for {_PATIENCE:g} seconds: try again")

    def _is_lost(self, url: str) -> bool:
        """Whether the queue has no message at all: nothing was declared for 14 days, or somebody purged it."""
        found = self._calls.sqs("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return not any(int(value) for name, value in found.items() if name.startswith("ApproximateNumber"))

    def _release(self, url: str, message: Answer) -> None:
        age = self._calls.clock.now() - int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
        handle = message["ReceiptHandle"]
        if age > _OLD:
            self._send(url, uuid())
            self._calls.sqs("delete_message", QueueUrl=url, ReceiptHandle=handle)
        else:
            self._calls.sqs("change_message_visibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)

    def _send(self, url: str, deduplication: str) -> None:
        self._calls.sqs(
            "send_message",
            QueueUrl=url,
            MessageBody="whoever has received this may change the tags",
            MessageGroupId=_GROUP,
            MessageDeduplicationId=deduplication,
        )
