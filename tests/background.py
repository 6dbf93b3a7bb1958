"""Threads that run beside a test until its block ends, and waiting for what they do."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections

LONG = 60.0
"""Seconds in which a server comes back and all that was promised has happened."""

Errors = list[BaseException]


@contextmanager
def running(
    work: Callable[[], object], stop: Callable[[], object], errors: Errors, patience: float = LONG
) -> Iterator[None]:
    """``work()`` in a thread of its own; its error is one of ``errors`` then. ``stop()`` lets it return."""

    def run() -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 - looked at by the test
            errors.append(exc)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(patience)
        if thread.is_alive():
            errors.append(AssertionError(f"a thread hangs:\n{_where(thread)}"))


def eventually(look: Callable[[], object], errors: Errors | None = None, patience: float = LONG) -> None:
    """Look again and again, unless there are ``errors``: the first is raised."""
    deadline = time.monotonic() + patience
    while not look():
        if errors:
            raise errors[0]
        assert time.monotonic() < deadline, f"nothing came of it in {patience} s"
        time.sleep(0.01)


def _where(thread: threading.Thread) -> str:
    """What it is at."""
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame else "it has just ended"
