"""Where the I/O of a connection is done: an event loop in a thread of its own, or that of the application."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from kombu.exceptions import ConnectionError

__all__ = ["Answer", "Home", "OwnHome"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Answer(Generic[T]):
    """What one thread waits for and the event loop gives: a result or an error, once."""

    __slots__ = ("_given", "error", "result")

    def __init__(self) -> None:
        self.result: T
        self.error: Exception | None = None
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, result: T) -> None:
        self.result = result
        self._release()

    def fail(self, error: Exception) -> None:
        self.error = error
        self._release()

    def wait(self, seconds: float | None) -> bool:
        """Whether it came in time."""
        if not self._given.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)):
            return False
        self._given.release()
        return True

    @property
    def given(self) -> bool:
        return not self._given.locked()

    def take(self) -> T:
        """Once it was given."""
        if self.error is not None:
            raise self.error
        return self.result

    def _release(self) -> None:
        with suppress(RuntimeError):  # it was given before, as by a connection that was lost just then
            self._given.release()


class Home:
    """The application's event loop, which runs in the thread ``ident``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ident: int | None) -> None:
        self.loop = loop
        self._ident = ident

    @property
    def here(self) -> bool:
        """Whether this is the event loop's own thread, which must not wait for it."""
        return threading.get_ident() == self._ident

    @property
    def gone(self) -> bool:
        """Whether it will never do anything again."""
        return self.loop.is_closed()

    def soon(self, work: Callable[[], object]) -> None:
        """From any thread: have it done there. Raises ``ConnectionError`` where the event loop is closed."""
        try:
            self.loop.call_soon_threadsafe(work)
        except RuntimeError as exc:
            raise ConnectionError("the event loop of this connection is closed") from exc

    def end(self) -> None:
        """It is the application's."""


class OwnHome(Home):
    """A thread that does nothing else."""

    def __init__(self) -> None:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="kombu-pika", daemon=True)
        self._thread.start()
        super().__init__(loop, self._thread.ident)

    def end(self) -> None:
        if self.here:
            self.loop.call_soon(self.loop.stop)
            return
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        finally:
            loop.close()
