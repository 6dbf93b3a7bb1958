"""The thread of a connection: alone it touches the blocking connection, for all coroutines."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from kombu.aio.gathering import publish_together
from kombu.aio.jobs import Job, Kind, Order, Outbox, Publishing
from kombu.aio.receiving import Receiver
from kombu.aio.subscription import Subscription
from kombu.connection import Connection
from kombu.exceptions import ConnectionError, NotBoundError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_WAIT = 5.0
"""Seconds after which the thread looks around in any case, should nobody wake it."""

_IN_A_ROW = 64
"""How many messages are taken before jobs get their turn and the event loops hear of them."""


class ThreadLink:
    """A :class:`kombu.aio.link.Link` that is one thread with one blocking connection, begun when first needed.

    It waits in one place at a time: for jobs while there is nothing to receive, otherwise in ``drain_events``, which
    a new job interrupts. A job is queued before :attr:`_draining` is looked at, and that is set before the queue is
    looked at once more, so none is overlooked.
    """

    def __init__(self, connection: Connection, outbox: Outbox | None = None) -> None:
        self._connection = connection
        self._jobs: SimpleQueue[Job[Any]] = SimpleQueue()
        self._outbox = outbox or Outbox()
        self._receiver = Receiver(connection, self._outbox)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._draining = False
        self._lingering = False
        self._more = False
        self._process = os.getpid()
        self._first: list[Job[Any]] = []
        self._at_hand: list[Job[Any]] = []
        self._closed = False
        self._stopping = False
        self._finished = False

    @property
    def running(self) -> bool:
        return self._thread is not None and not self._closed and self._process == os.getpid()

    async def run(self, work: Callable[[Connection], T], undo: Callable[[T], object] | None = None) -> T:
        def too_late(result: T) -> None:
            if undo is not None:
                self._later(partial(undo, result))

        future = _future()
        return await self._answer(future, Job(partial(work, self._connection), future, undo=too_late))

    async def publish(self, order: Order) -> None:
        future = _future()
        await self._answer(future, Publishing(order, future))

    async def settle(self, verb: Callable[[], None]) -> None:
        future = _future()
        await self._answer(future, Job(verb, future, Kind.SETTLE))

    def settle_later(self, verb: Callable[[], None]) -> None:
        self._later(verb, Kind.SETTLE)

    async def subscribe(self, subscription: Subscription) -> None:
        def too_late(_: None) -> None:
            self._later(partial(self._receiver.end, subscription))

        subscription.nudge = self._nudge
        future = _future()
        await self._answer(future, Job(partial(self._receiver.begin, subscription), future, undo=too_late))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Happens also when the caller is cancelled."""
        future = _future()
        with suppress(NotBoundError):
            await self._answer(future, Job(partial(self._receiver.end, subscription), future), withdraw=False)

    async def close(self) -> None:
        """Happens also when the caller is cancelled; harmless when it is closed."""
        first, self._closed = not self._closed, True
        if self._thread is None or self._process != os.getpid():
            return
        future = _future()
        job = Job(self._finish if first else _nothing, future)
        self._put(job)
        with suppress(NotBoundError):
            await self._outcome(future, job, withdraw=False)
        self._thread.join()

    def abandon(self) -> None:
        # The garbage collector calls it, maybe in the middle of anything: it takes no lock and interrupts nothing.
        self._closed = True
        self._jobs.put(Job(self._finish))

    async def _answer(self, future: asyncio.Future[T], job: Job[T], withdraw: bool = True) -> T:
        self._submit(job)
        return await self._outcome(future, job, withdraw)

    async def _outcome(self, future: asyncio.Future[T], job: Job[T], withdraw: bool) -> T:
        try:
            return await future
        except asyncio.CancelledError:
            job.abandon(withdraw)
            raise

    def _later(self, work: Callable[[], object], kind: Kind = Kind.OTHER) -> None:
        """With nobody waiting for it. Once the link is closed there is nothing left to do."""
        with suppress(NotBoundError):
            self._submit(Job(work, kind=kind))

    def _submit(self, job: Job[Any]) -> None:
        if self._closed:
            raise NotBoundError(f"{self._connection!r} is closed: make a new one")
        if self._process != os.getpid():
            raise NotBoundError(f"{self._connection!r} belongs to another process: make a new one after a fork")
        self._start()
        self._put(job)

    def _start(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="kombu-aio", daemon=True)
                    thread.start()
                    self._thread = thread

    def _put(self, job: Job[Any]) -> None:
        self._jobs.put(job)
        if self._draining:
            self._draining = False
            self._connection.interrupt()
        if self._finished:
            self._refuse(self._waiting())

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
                self._at_hand = self._waiting()
                self._do(self._at_hand)
                self._receiver.keep_up()
                self._outbox.flush()
                self._wait()
        except Exception as error:
            logger.exception("the thread of %r has ended", self._connection)
            self._receiver.fail_all(error)
            self._receiver.lost(error)
        finally:
            self._closed = self._finished = True
            self._refuse([*self._at_hand, *self._waiting()])
            self._outbox.flush()

    def _turn(self) -> None:
        """In the thread, before it does anything."""

    def _waiting(self) -> list[Job[Any]]:
        jobs, self._first = self._first, []
        with suppress(Empty):
            while True:
                jobs.append(self._jobs.get_nowait())
        return jobs

    def _do(self, jobs: Iterable[Job[Any]]) -> None:
        """In their order, but that the messages of neighbours go out together, before what they settle."""
        for loose, group in groupby(jobs, key=lambda job: job.kind is not Kind.OTHER):
            rest = list(group)
            if loose:
                self._publish([job for job in rest if isinstance(job, Publishing)])
                rest = [job for job in rest if not isinstance(job, Publishing)]
            for job in rest:
                self._perform(job)

    def _publish(self, jobs: Sequence[Publishing]) -> None:
        taken = [job for job in jobs if job.take()]
        publish_together(taken)
        for job in taken:
            self._report(job)

    def _perform(self, job: Job[Any]) -> None:
        if not self._stopping and job.take():
            job.do()
            self._report(job)

    def _report(self, job: Job[Any]) -> None:
        job.reported = True
        if isinstance(job.error, ConnectionError):
            self._receiver.lost(job.error)
        if job.future is not None:
            self._outbox.add(job.future.get_loop(), job)
        elif job.error is not None:
            logger.warning("failed, with nobody waiting for it: %s", job.error, exc_info=job.error)

    def _wait(self) -> None:
        """For a job, and meanwhile for messages."""
        if self._stopping:
            return
        pause = self._receiver.due_in()
        if not self._receiver.draining:
            self._wait_for_job(pause)
            return
        self._lingering = True
        try:
            linger = self._receiver.linger()
            if linger and not self._more:
                self._wait_for_job(linger)
                return
        finally:
            self._lingering = False
        self._drain(_MOST_WAIT if pause is None else min(pause, _MOST_WAIT))

    def _wait_for_job(self, seconds: float | None) -> None:
        with suppress(Empty):
            self._first.append(self._jobs.get(timeout=seconds))

    def _drain(self, seconds: float) -> None:
        self._draining = True
        try:
            self._more = self._jobs.empty() and self._receiver.drain(seconds)
        finally:
            self._draining = False
        for _ in range(_IN_A_ROW):
            if not self._more or not self._jobs.empty():
                return
            self._more = self._receiver.drain(0)

    def _nudge(self) -> None:
        """In an event loop: go and look for messages."""
        if self._lingering:
            self._jobs.put(Job(_nothing))

    def _finish(self) -> None:
        self._stopping = True
        with ExitStack() as stack:
            stack.callback(self._connection.release)
            stack.callback(self._receiver.end_all)

    def _refuse(self, jobs: Iterable[Job[Any]]) -> None:
        """In any thread."""
        outbox = Outbox()
        for job in jobs:
            if not job.reported and job.future is not None:
                job.error = NotBoundError(f"{self._connection!r} is closed: make a new one")
                outbox.add(job.future.get_loop(), job)
        outbox.flush()


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def _nothing() -> None:
    """To wait for what is before it."""
