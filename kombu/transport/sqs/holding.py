"""What this handle has received and not settled, until when it is ours, and the requests that change that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from kombu.exceptions import NotFound, OperationalError
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.limits import Limits, tens, whole
from kombu.transport.sqs.queues import Queues
from kombu.transport.sqs.receiving import Taken
from kombu.transport.virtual.store import Lease

_SAFELY = 60
"""Seconds less than AWS's 12 hours that a message is asked to stay invisible."""


@dataclass(frozen=True, slots=True)
class Change:
    """A message to be made invisible for so many seconds from now; 0: visible."""

    taken: Taken
    seconds: int


class Holding:
    """By receipt handle, which is a lease's token. To be shared between threads.

    AWS does not tell whose a message is, and may take an old receipt handle for a new one. So a lease is good only as
    long as the visibility timeout that was asked for, by this machine's clock; what ran out is not ours to change.
    """

    def __init__(self, calls: Calls, queues: Queues, limits: Limits) -> None:
        self._calls = calls
        self._queues = queues
        self._limits = limits
        self._held: dict[int | str, Taken] = {}
        self._lock = Lock()

    def hold(self, taken: Iterable[Taken]) -> None:
        with self._lock:
            self._held.update((each.message.handle, each) for each in taken)

    def still_held(self, lease: Lease) -> Taken | None:
        taken = self._held.get(lease.token)
        return taken if taken is not None and taken.until > time.monotonic() else None

    def surrender(self, leases: Sequence[Lease]) -> list[Taken | None]:
        """They are nobody else's to settle from now on; None for one that ran out."""
        now = time.monotonic()
        with self._lock:
            held = [self._held.pop(lease.token, None) for lease in leases]
        return [taken if taken is not None and taken.until > now else None for taken in held]

    def drop(self, queue: str) -> None:
        """It was deleted here."""
        with self._lock:
            self._held = {handle: taken for handle, taken in self._held.items() if taken.queue != queue}

    def at_most(self, taken: Taken, seconds: float) -> int:
        """As long as AWS keeps a message invisible after it was received."""
        passed = time.monotonic() - taken.since
        return max(min(whole(seconds), self._limits.visibility - _SAFELY - whole(passed)), 0)

    def give_back(self, taken: Sequence[Taken]) -> None:
        self.change([Change(each, 0) for each in taken])

    def delete(self, taken: Sequence[Taken]) -> set[str]:
        """The receipt handles of those that were not ours any more."""
        return self._in_batches("delete_message_batch", [(each, {}) for each in taken])

    def change(self, changes: Sequence[Change]) -> set[str]:
        """The receipt handles of those that were not ours any more."""
        entries = [(change.taken, {"VisibilityTimeout": change.seconds}) for change in changes]
        lost = self._in_batches("change_message_visibility_batch", entries)
        now = time.monotonic()
        with self._lock:
            for change in changes:
                handle = change.taken.message.handle
                if handle in self._held and handle not in lost:
                    self._held[handle] = replace(self._held[handle], until=now + change.seconds)
        return lost

    def _in_batches(self, action: str, entries: Sequence[tuple[Taken, dict[str, Any]]]) -> set[str]:
        queues: dict[str, list[tuple[Taken, dict[str, Any]]]] = {}
        for entry in entries:
            queues.setdefault(entry[0].queue, []).append(entry)
        lost: set[str] = set()
        for queue, there in queues.items():
            for batch in tens(there):
                lost |= self._ask_batch(action, queue, batch)
        return lost

    def _ask_batch(self, action: str, queue: str, batch: list[tuple[Taken, dict[str, Any]]]) -> set[str]:
        handles = [taken.message.handle for taken, _ in batch]
        asked = [
            {"Id": str(at), "ReceiptHandle": handle, **entry}
            for at, (handle, (_, entry)) in enumerate(zip(handles, batch, strict=True))
        ]
        try:
            answer = self._calls.sqs(action, QueueUrl=self._queues.url(queue), Entries=asked)
        except NotFound:
            self._queues.forget(queue)
            return set(handles)
        failed = answer.get("Failed", ())
        faults = [each for each in failed if not each.get("SenderFault")]
        if faults:
            raise OperationalError(
                f"{self._calls.settings.place}: {action}: {faults[0].get('Code')}, not done: try again"
            )
        return {handles[int(each["Id"])] for each in failed}
