"""What coroutines ask of a connection's thread, and how its answers come back to their event loops."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeVar

from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.producer import Producer, RetryOptions
from kombu.transport.base import Publication

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Kind(Enum):
    """What may change places: of jobs that wait together, those that settle go behind those that publish."""

    PUBLISH = "publish"
    SETTLE = "settle"
    OTHER = "other"


class Job(Generic[T]):
    """One piece of work for the thread, and the future of whoever waits for it; None where nobody does.

    It is taken once: by the thread, which does it then, or by its caller, who has given up before and for whom it
    never happened. ``undo`` is given a result that came too late for its caller; called in any thread.
    """

    __slots__ = ("_taken", "error", "future", "kind", "reported", "result", "undo", "work")

    def __init__(
        self,
        work: Callable[[], T],
        future: asyncio.Future[T] | None = None,
        kind: Kind = Kind.OTHER,
        undo: Callable[[T], object] | None = None,
    ) -> None:
        self.work = work
        self.future = future
        self.kind = kind
        self.undo = undo
        self.result: T
        self.error: BaseException | None = None
        self.reported = False
        self._taken = threading.Lock()

    def take(self) -> bool:
        """From any thread: True for the first who asks."""
        return self._taken.acquire(blocking=False)

    def do(self) -> None:
        """In the thread; an error is the caller's."""
        try:
            self.result = self.work()
        except StopIteration as error:  # which no future takes
            self.error = RuntimeError(f"the function raised {error!r}")
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            self.error = error

    def tell(self) -> None:
        """In the event loop: the caller goes on. One who was cancelled meanwhile has no use for the result."""
        future = self.future
        if future is None or future.done():
            self.untold()
        elif self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(self.result)

    def untold(self) -> None:
        """In any thread: nobody will hear of it."""
        if self.error is not None:
            logger.debug("failed after its caller was gone", exc_info=self.error)
        elif self.undo is not None:
            self.undo(self.result)

    def abandon(self, withdraw: bool = True) -> None:
        """In the event loop: its caller was cancelled. What is done already is undone; otherwise it need not happen,
        unless it is not to be withdrawn."""
        future = self.future
        if future is not None and future.done() and not future.cancelled():
            self.untold()
        elif withdraw:
            self.take()


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What one call of ``publish`` asks for: messages as bytes, and what has to exist before they go out."""

    producer: Producer
    publications: Sequence[Publication]
    declare: Sequence[Exchange | Queue] = ()
    retry: bool = False
    retry_policy: RetryOptions | None = None
    timeout: float | None = None
    """Seconds for all attempts."""
    confirm_timeout: float | None = None
    """Seconds for one."""

    @property
    def patience(self) -> float | None:
        """Seconds that one attempt may take; None without a limit."""
        return min((each for each in (self.timeout, self.confirm_timeout) if each is not None), default=None)


class Publishing(Job[None]):
    """Messages of one caller, to go out together with those of others."""

    __slots__ = ("order",)

    def __init__(self, order: Order, future: asyncio.Future[None]) -> None:
        super().__init__(lambda: None, future, Kind.PUBLISH)
        self.result = None
        self.order = order


class News(Protocol):
    """What an event loop is to be told."""

    def tell(self) -> None:
        """In the event loop."""

    def untold(self) -> None:
        """In the thread, where the event loop is closed."""


class Outbox:
    """The thread's news for event loops, which are woken once for many of them."""

    def __init__(self) -> None:
        self._news: dict[asyncio.AbstractEventLoop, dict[News, None]] = {}

    def add(self, loop: asyncio.AbstractEventLoop, news: News) -> None:
        self._news.setdefault(loop, {})[news] = None

    def flush(self) -> None:
        while self._news:
            loop, news = self._news.popitem()
            try:
                loop.call_soon_threadsafe(_tell, news)
            except RuntimeError:
                logger.debug("%d callers did not hear what became of their work: %r is closed", len(news), loop)
                for each in news:
                    each.untold()


def copies(error: Exception, count: int) -> Iterable[Exception]:
    """One error for each of several callers: who raises it adds to its traceback."""
    yield error
    for _ in range(count - 1):
        yield _copy(error)


def _tell(news: Iterable[News]) -> None:
    for each in news:
        each.tell()


def _copy(error: Exception) -> Exception:
    if not isinstance(error, KombuError):
        return error
    copied = type(error)(*error.args)
    copied.__cause__ = error
    return copied
