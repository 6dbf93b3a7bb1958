"""A link over a driver that is asynchronous itself: what is done for every message is done in the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from kombu.aio.jobs import Job, News, Order, Outbox
from kombu.aio.thread import ThreadLink
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.transport.asynchronous import AsynchronousChannel, EventLoop, WouldWait, event_loop

logger = logging.getLogger(__name__)


class NativeLink(ThreadLink):
    """A :class:`kombu.aio.link.Link` whose broker is heard in the event loop of its first caller, its home.

    Messages are handed to subscriptions there as they come, and settled and published from there. The thread is left
    what is rare, and has to wait: connecting, declaring, looking, and bringing consumers back; so it is for who is in
    another event loop. Between, it waits for bad news.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, _Outbox())
        self._home: EventLoop | None = None

    async def publish(self, order: Order) -> None:
        self._settle_in()
        channel = self._ready(order)
        if channel is not None:
            try:
                future = channel.publish_soon(order.publications)
            except WouldWait:
                channel = None
            else:
                await future
        if channel is None:
            await super().publish(order)

    async def settle(self, verb: Callable[[], None]) -> None:
        try:
            self._settle_here(verb)
        except WouldWait:
            await super().settle(verb)

    def settle_later(self, verb: Callable[[], None]) -> None:
        try:
            self._settle_here(verb)
        except WouldWait:
            super().settle_later(verb)
        except KombuError as error:
            logger.warning("failed, with nobody waiting for it: %s", error, exc_info=error)

    def _submit(self, job: Job[Any]) -> None:
        self._settle_in()
        super()._submit(job)

    def _settle_in(self) -> None:
        """The event loop of the first caller is home; another one's when that is closed."""
        if self._home is None or self._home.loop.is_closed():
            with suppress(RuntimeError):  # nobody's, where something is given back that came too late
                self._home = EventLoop(asyncio.get_running_loop(), threading.get_ident())

    def _settle_here(self, verb: Callable[[], None]) -> None:
        if not self._at_home or not self._native:
            raise WouldWait("not in the event loop of the connection")
        verb()

    def _ready(self, order: Order) -> AsynchronousChannel | None:
        if not self._at_home or not self._native:
            return None
        return cast(AsynchronousChannel | None, order.producer.ready(order.declare))

    @property
    def _at_home(self) -> bool:
        """Whether this is the home of a link that works."""
        return (
            not self._closed
            and self._home is not None
            and self._home.thread == threading.get_ident()
            and self._process == os.getpid()
        )

    @property
    def _native(self) -> bool:
        """Another broker may stand in for the first, by a transport that is not asynchronous."""
        return self._connection.transport.implements.asyncio

    def _turn(self) -> None:
        event_loop.set(self._home)


class _Outbox(Outbox):
    """Of the thread and the home: what happens in an event loop needs no thread to tell of it."""

    def add(self, loop: asyncio.AbstractEventLoop, news: News) -> None:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            super().add(loop, news)
            return
        if here is loop:
            news.tell()
            return
        try:
            loop.call_soon_threadsafe(news.tell)
        except RuntimeError:
            news.untold()
