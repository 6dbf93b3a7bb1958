"""The consumers of one connection: drained in its thread, and brought back when the connection was lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from math import inf

from kombu.aio.jobs import Outbox
from kombu.aio.subscription import Subscription
from kombu.connection import Connection
from kombu.exceptions import ChannelError, ConnectionError, OperationalError

logger = logging.getLogger(__name__)

_LINGER = 0.005
"""Seconds between drains while coroutines are busy with what they have."""

_RATE = 2
"""How often heartbeats are looked at within one interval."""


class Receiver:
    """Used by the connection's thread only. No call waits longer than it is told to."""

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox
        self._subscriptions: list[Subscription] = []
        self._paused_until = 0.0
        self._drained_at = -inf
        self._beats_every = connection.heartbeat / _RATE
        self._beats_at = 0.0

    def begin(self, subscription: Subscription) -> None:
        """Raises what declaring and consuming raise; there is no second attempt."""
        subscription.open(self._connection, self._outbox)
        self._subscriptions.append(subscription)

    def end(self, subscription: Subscription) -> None:
        """Give back what it holds; harmless when it has ended."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            subscription.end(None, self._outbox)
            subscription.close()

    def end_all(self) -> None:
        """All, even where one cannot be closed."""
        with ExitStack() as stack:
            for each in self._subscriptions:
                stack.callback(self.end, each)

    def fail_all(self, error: Exception) -> None:
        for each in list(self._subscriptions):
            self._fail(each, error)

    @property
    def draining(self) -> bool:
        """Whether messages may come now."""
        return time.monotonic() >= self._paused_until and any(each.is_open for each in self._subscriptions)

    def linger(self) -> float:
        """Seconds to wait for jobs before the next drain, so that it settles and claims for many at once.

        Zero where a coroutine waits for a message that is likely to be there.
        """
        if any(each.waiting and each.lively for each in self._subscriptions):
            return 0.0
        return max(self._drained_at + _LINGER - time.monotonic(), 0.0)

    def due_in(self) -> float | None:
        """Seconds until :meth:`keep_up` has something to do; None when it has not."""
        times = [each.again_at for each in self._subscriptions if each.again_at is not None]
        if self._paused_until > time.monotonic():
            times.append(self._paused_until)
        if self._beats_every and self._connection.connected:
            times.append(self._beats_at)
        return max(min(times) - time.monotonic(), 0.0) if times else None

    def keep_up(self) -> None:
        """End what nobody listens to, and bring back what is due."""
        for each in [each for each in self._subscriptions if each.orphaned]:
            self._attempt(partial(self.end, each))
        now = time.monotonic()
        for each in [each for each in self._subscriptions if each.again_at is not None and each.again_at <= now]:
            self._come_back(each)
        self._beat(now)

    def drain(self, timeout: float | None) -> bool:
        """Wait for one message; False when none came. Errors become those of the consumers."""
        try:
            self._connection.drain_events(timeout=timeout)
        except TimeoutError:
            self._well()
            return False
        except ConnectionError as error:
            self.lost(error)
            return False
        except OperationalError as error:
            self._trouble(error)
            return False
        except ChannelError as error:
            self._end_those_without_queue(error)
            return False
        except Exception as error:
            logger.exception("the consumers of %r have ended", self._connection)
            self.fail_all(error)
            return False
        finally:
            self._drained_at = time.monotonic()
        self._well()
        return True

    def lost(self, error: Exception) -> None:
        """Let go of the connection; its consumers come back later, or get the error."""
        self._attempt(self._connection.collect)
        for each in [each for each in self._subscriptions if each.is_open]:
            each.forget()
            self._later(each, error)

    def _beat(self, now: float) -> None:
        """The thread may wait longer for jobs than a broker waits for a sign of life."""
        if self._beats_every and self._connection.connected and now >= self._beats_at:
            self._beats_at = now + self._beats_every
            try:
                self._connection.heartbeat_check(_RATE)
            except ConnectionError as error:
                self.lost(error)

    def _come_back(self, subscription: Subscription) -> None:
        try:
            subscription.open(self._connection, self._outbox)
        except OperationalError as error:
            if isinstance(error, ConnectionError):
                self.lost(error)
            self._later(subscription, error)
        except Exception as error:
            logger.exception("the consumer of %r has ended", subscription)
            self._fail(subscription, error)
        else:
            logger.info("consuming from %r again", subscription)

    def _later(self, subscription: Subscription, error: Exception) -> None:
        pause = self._pause_after(subscription, error)
        if pause is not None:
            subscription.again_at, subscription.trouble = time.monotonic() + pause, error
            logger.warning("consuming from %r again in %.1f s: %s", subscription, pause, error)

    def _trouble(self, error: Exception) -> None:
        """The connection is still good: keep it, and what is held, and drain again later."""
        pauses = [self._pause_after(each, error) for each in list(self._subscriptions) if each.is_open]
        pause = min((each for each in pauses if each is not None), default=0.0)
        self._paused_until = time.monotonic() + pause
        logger.warning("draining %r again in %.1f s: %s", self._connection, pause, error)

    def _pause_after(self, subscription: Subscription, error: Exception) -> float | None:
        """Seconds until the next attempt; None where that was the last one, and it has ended."""
        policy = subscription.reconnect
        subscription.attempts += 1
        if policy is None or (policy.max_retries is not None and subscription.attempts > policy.max_retries):
            self._fail(subscription, error)
            return None
        return policy.delay(subscription.attempts)

    def _well(self) -> None:
        for each in self._subscriptions:
            if each.is_open:
                each.attempts = 0

    def _end_those_without_queue(self, error: ChannelError) -> None:
        """All of them when it cannot be told whose error it is: nobody consumes silently nothing."""
        try:
            concerned = [each for each in self._subscriptions if each.lost_its_queue()]
        except OperationalError as worse:
            self.lost(worse)
            return
        for each in concerned or list(self._subscriptions):
            self._fail(each, error)

    def _fail(self, subscription: Subscription, error: Exception) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._attempt(subscription.close)
            subscription.end(error, self._outbox)

    def _attempt(self, close: Callable[[], object]) -> None:
        """What is lost may refuse to be closed."""
        try:
            close()
        except Exception:
            logger.debug("could not be closed", exc_info=True)
