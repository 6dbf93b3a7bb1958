"""Producer: publishing objects with ``await``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, Self, cast

from kombu import producer
from kombu.aio.jobs import Order
from kombu.aio.retrying import retry
from kombu.aio.signatures import takes_what
from kombu.entity import Exchange, Queue
from kombu.exceptions import MessageReturned, NotSupported
from kombu.retry import RetryPolicy
from kombu.transport.base import Publication

if TYPE_CHECKING:
    from kombu.aio.connection import Connection

__all__ = ["Batch", "Producer"]


class Producer:
    """Publishes to an exchange; made by :meth:`kombu.aio.Connection.Producer`.

    Bodies are encoded where ``publish`` is called, so an error of that kind is raised before anything waits. What
    coroutines publish at the same time, through any producers of one connection, goes out in one batch, and each
    of them gets only its own refusal. To be shared by any number of coroutines.
    """

    def __init__(self, connection: Connection, recorder: Recorder) -> None:
        self._connection = connection
        self._recorder = recorder

    def __repr__(self) -> str:
        return repr(self._recorder)

    @property
    def exchange(self) -> Exchange:
        return self._recorder.exchange

    @takes_what(producer.Producer.publish)  # type: ignore[arg-type]
    async def publish(self, *args: Any, **options: Any) -> None:
        """As :meth:`kombu.Producer.publish`: returns once the broker has stored the message, or raises.

        A caller that is cancelled before its message was on its way has not published it; later it is published
        all the same.
        """
        await self._carry_out(self._recorder.order(lambda: self._recorder.publish(*args, **options)))

    @takes_what(producer.Producer.publish_many)  # type: ignore[arg-type]
    async def publish_many(self, *args: Any, **options: Any) -> None:
        """As :meth:`kombu.Producer.publish_many`: publish many bodies together."""
        await self._carry_out(self._recorder.order(lambda: self._recorder.publish_many(*args, **options)))

    def batch(self) -> Batch:
        """Gather messages in an ``async with`` block and publish them together at its end.

        ``async with producer.batch() as batch: batch.publish(…)``. Where the block raises, none is published.
        """
        return Batch(self)

    async def declare(self) -> None:
        """Declare the exchange now."""
        await self._connection.declare(self.exchange)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """There is nothing to let go of: the connection stays open."""

    async def _carry_out(self, order: Order | None) -> None:
        if order is None:
            return
        try:
            await (self._retry(order) if order.retry else self._publish(order, order.patience))
        except MessageReturned as error:
            if self._recorder.on_return is None:
                raise
            if error.not_stored is not None:
                for each, publication in producer.came_back(error, order.publications):
                    self._recorder.on_return(each, publication)
                return
            for publication in order.publications:
                await self._publish_or_return(replace(order, publications=[publication]), self._recorder.on_return)

    async def _publish(self, order: Order, seconds: float | None) -> None:
        link = self._connection.link
        if seconds is None:
            await link.publish(order)
            return
        try:
            async with asyncio.timeout(seconds):
                await link.publish(order)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {seconds:g} seconds: published or not") from error

    async def _publish_or_return(self, order: Order, on_return: producer.OnReturn) -> None:
        """Nothing of a batch is stored when one of it is returned: the others are published one by one."""
        try:
            await self._publish(order, order.patience)
        except MessageReturned as error:
            on_return(error, order.publications[0])

    async def _retry(self, order: Order) -> None:
        given = dict(order.retry_policy or {})
        errback = given.pop("errback", None)
        clock = asyncio.get_running_loop().time
        deadline = inf if order.timeout is None else clock() + order.timeout
        last: Exception | None = None

        def on_error(error: Exception, pause: float) -> None:
            nonlocal last
            last = error
            if callable(errback):
                errback(error, pause)

        async def attempt() -> None:
            left = min(deadline - clock(), inf if order.confirm_timeout is None else order.confirm_timeout)
            try:
                await self._publish(order, None if left == inf else left)
            except TimeoutError:
                if last is None or clock() < deadline:
                    raise
                raise last from None

        policy = RetryPolicy(**cast(dict[str, Any], given))
        await retry(attempt, policy, order.timeout, on_error)


class Batch:
    """Messages that go out together: see :meth:`Producer.batch`."""

    def __init__(self, to: Producer) -> None:
        self._producer = to
        self._batch = to._recorder.batch()

    @property
    def publications(self) -> list[Publication]:
        return self._batch.publications

    @takes_what(producer.Batch.publish)  # type: ignore[arg-type]
    def publish(self, *args: Any, **options: Any) -> None:
        """Add a message; the options are those of :meth:`kombu.Producer.prepare`."""
        self._batch.publish(*args, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        recorder = self._producer._recorder
        await self._producer._carry_out(recorder.order(lambda: self._batch.__exit__(kind, *exc)))


class Recorder(producer.Producer):
    """A blocking producer that writes down what it is asked to send instead of sending it.

    So all that ``publish`` decides is decided by the same code. What it has of a channel is the thread's.
    """

    _told = threading.local()

    def order(self, ask: Callable[[], None]) -> Order | None:
        """What ``ask()``, which publishes through this producer, wants to be sent; None for nothing."""
        self._told.order = None
        ask()
        order: Order | None = self._told.order
        return order

    def _send(
        self,
        publications: Sequence[Publication],
        declare: Iterable[Exchange | Queue] | None = None,
        retry: bool = False,
        retry_policy: producer.RetryOptions | None = None,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
    ) -> None:
        if publications:
            wanted = tuple(declare or ())
            self._told.order = Order(self, publications, wanted, retry, retry_policy, timeout, confirm_timeout)

    def _send_once(
        self,
        publications: Sequence[Publication],
        declare: Iterable[Exchange | Queue] | None,
        timeout: float | None,
        within: object | None = None,
    ) -> None:
        if within is not None:
            raise NotSupported("publish(within=…) in kombu.aio: a transaction belongs to one thread, publish there")
        self._send(publications, declare, confirm_timeout=timeout)
