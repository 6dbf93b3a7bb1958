"""One open connection to RabbitMQ: its channels, what it has received, and what it publishes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from time import monotonic

from kombu.exceptions import NotFound
from kombu.transport.amqp.asking import Asking
from kombu.transport.amqp.channel import Channel
from kombu.transport.amqp.consuming import Ended, Ready
from kombu.transport.amqp.delaying import Delayer
from kombu.transport.amqp.dialing import Opened
from kombu.transport.amqp.keeper import Keeper
from kombu.transport.amqp.link import Link, deadline_in, weakly
from kombu.transport.amqp.publishing import Publisher, parts
from kombu.transport.amqp.received import Received
from kombu.transport.base import Address, Publication, QueueStatistics
from kombu.transport.native.delay import BindStep
from kombu.transport.native.options import Options
from kombu.transport.native.statistics import Statistician

__all__ = ["AMQPConnection"]


class AMQPConnection:
    """May be shared between threads for everything but draining, which is for one at a time."""

    def __init__(self, opened: Opened, address: Address, options: Options, driver: str) -> None:
        self.options = options
        self.driver = driver
        self.server = opened.server
        self.link = Link(opened)
        self.ready = Ready()
        self.asking = Asking(self.link, driver, options.plugin_arguments)
        self.publisher = Publisher(self.link, self.asking, options.confirm_publish)
        self._delayer = Delayer(self.asking, self.publisher, driver)
        self._channels: list[Channel] = []
        self._statistician = Statistician(address, options, driver)
        self._interrupted = False
        self._closed = False
        self._keeper = Keeper(self)
        self.ready.on_owed = self._keeper.owe
        self.link.before_asking = weakly(self.settle)

    @property
    def connected(self) -> bool:
        return not self._closed and self.link.wire.lost is None

    @property
    def consuming(self) -> bool:
        return any(channel.consuming.subscriptions for channel in self._channels)

    @property
    def deadline(self) -> float:
        """For what is sent now and not waited for."""
        return monotonic() + self.options.operation_timeout

    def channel(self) -> Channel:
        channel = Channel(self)
        self._channels.append(channel)
        return channel

    def forget(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)

    def publish(self, publications: Sequence[Publication], timeout: float | None) -> None:
        deadline = deadline_in(timeout, self.options.confirm_timeout)
        if not any(each.delay for each in publications):
            self.publisher.publish(publications, deadline)
            return
        later = [place for place, each in enumerate(publications) if each.delay]
        now = [place for place, each in enumerate(publications) if not each.delay]
        parts(publications, [(later, self._delayer.publish), (now, self.publisher.publish)], deadline)

    def publish_later(self, messages: Sequence[Publication], steps: Sequence[BindStep], top: int) -> None:
        """Messages that are on their way already, once these bindings are there."""
        self._delayer.send(messages, top, deadline_in(None, self.options.confirm_timeout), steps)

    def drain_events(self, timeout: float | None = None) -> None:
        deadline, ready, lock = 0.0, self.ready, self.link.lock
        while True:
            if self._interrupted:
                self._interrupted = False
                raise TimeoutError("interrupted")
            with lock:
                entry = ready.take(self.options.operation_timeout)
                if entry is None:
                    deadline = deadline or (inf if timeout is None else monotonic() + timeout)
                    self._wait(deadline)
            if entry is not None and self._hand(entry):
                return

    def interrupt(self) -> None:
        self._interrupted = True
        self.link.wire.ring()

    def heartbeat_check(self, rate: int = 2) -> None:
        """They are sent by a thread of the connection: this only looks."""
        with self.link.lock:
            self.link.wire.beat()
            self.link.wire.check()

    def statistics(self, queues: Sequence[str] | None = None) -> dict[str, QueueStatistics]:
        return self._statistician.statistics(self, queues)

    def settle(self) -> None:
        """With the lock held: send the acknowledgements that are owed."""
        if self.ready.owed_since:
            self.ready.owed_since = 0.0
            for channel in list(self._channels):
                channel.consuming.flush(self.deadline)

    def close(self) -> None:
        """Send what is owed, and say goodbye: what is not settled goes back."""
        if self._closed:
            return
        self._closed = True
        self._keeper.end()
        for channel in self._channels:
            channel.end()
        self.link.close()

    def _wait(self, deadline: float) -> None:
        """With the lock held: until something is received, or an interruption."""
        self.settle()
        while self.ready.to_revive:
            self.ready.to_revive.pop().revive(self.deadline)
        ready, entries = self.ready, self.ready.entries
        ready.idle = True
        try:
            self.link.wire.wait_for(lambda: entries or self._interrupted or ready.to_revive, deadline)
        finally:
            ready.idle = False

    def _hand(self, entry: Received | Ended) -> bool:
        """Whether that was a message."""
        subscription = entry.subscription
        assert subscription is not None  # noqa: S101
        if type(entry) is Received:
            subscription.callback(entry)
            return True
        if subscription.on_cancel is None:
            raise NotFound(f"deleted under its consumer, which has ended: queue {subscription.queue!r}")
        subscription.on_cancel(subscription.tag)
        return False
