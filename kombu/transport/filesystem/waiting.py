"""Waiting for messages: nobody tells, so the queues' records are looked at, and less often while nothing happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from kombu.transport.filesystem.folders import Folders
from kombu.transport.filesystem.line import micro
from kombu.transport.filesystem.names import NEVER
from kombu.transport.filesystem.state import State, look_at_state

_SHORTEST, _LONGEST = 0.001, 0.025
"""Seconds between two looks; one takes some microseconds for each queue."""


class Waiter:
    """For one thread, but for :meth:`wake`."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._pause = _SHORTEST

    def wake(self) -> None:
        self._woken.set()

    def wait(self, queues: Sequence[Folders], timeout: float) -> None:
        """Until something may be claimed, :meth:`wake` is called, or ``timeout`` seconds are over."""
        deadline = time.monotonic() + timeout
        active = [queue for queue in queues if not queue.paused]
        seen = [look_at_state(queue.lock) for queue in active]
        if any(_may_have(queue, state) for queue, state in zip(active, seen, strict=True)):
            self._pause = _SHORTEST
            return
        changes = [state and state.changes for state in seen]
        due = min((state.next for state in seen if state is not None), default=NEVER)
        while (left := deadline - time.monotonic()) > 0:
            until_due = max(due - micro(time.time()), 0) / 1e6
            if self._woken.wait(min(left, self._pause, until_due)):
                break
            self._pause = min(self._pause * 1.5, _LONGEST)
            if due <= micro(time.time()) or changes != [_changes(queue) for queue in active]:
                self._pause = _SHORTEST
                break
        self._woken.clear()


def _may_have(queue: Folders, state: State | None) -> bool:
    return state is None or state.next <= micro(time.time()) or next(queue.ready(), None) is not None


def _changes(queue: Folders) -> int | None:
    state = look_at_state(queue.lock)
    return None if state is None else state.changes
