"""Promises about statistics: the same numbers of every queue, whatever the broker, or None where it does not tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from kombu.entity import Queue
from kombu.exceptions import NotSupported
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.declaring import hold
from kombu.testing.transports.features import Feature, promises
from kombu.transport.base import QueueStatistics


class StatisticsConformance(TransportCase):
    """``connection.statistics()``. A broker may take its time to count; what it cannot tell is None, never a guess.

    ``untold`` are the numbers that a transport never tells: those must be None, and the table says so.
    """

    untold: ClassVar[frozenset[str]] = frozenset()

    @promises(Feature.STATISTICS)
    def test_statistics_tell_how_many_messages_are_ready(self) -> None:
        orders, empty = self.queue(), self.queue("empty")
        self.publish(1, 2, 3, to=orders)
        self.eventually(lambda: self.statistics(orders).ready == 3)
        assert self.statistics(empty).ready == 0
        assert self.statistics(empty).oldest is None
        assert self.statistics(empty).delayed in (0, None)

    @promises(Feature.STATISTICS_LEASED)
    def test_what_a_consumer_holds_counts_as_leased_until_it_is_settled(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        [held] = self.receive(orders)
        self.eventually(lambda: self.statistics(orders).ready == 2)
        self.come_to("leased", lambda: self.statistics(orders).leased == 1, orders)
        held.ack()
        self.come_to("leased", lambda: self.statistics(orders).leased == 0, orders)
        assert self.statistics(orders).ready == 2

    @promises(Feature.STATISTICS_DELAYED)
    def test_a_delayed_message_counts_as_delayed_and_not_as_ready(self) -> None:
        orders = self.queue()
        self.publish("later", to=orders, delay=600.0)
        self.publish("now", to=orders)
        self.eventually(lambda: self.statistics(orders).ready == 1)
        self.come_to("delayed", lambda: self.statistics(orders).delayed == 1, orders)

    @promises(Feature.STATISTICS_CONSUMERS)
    def test_statistics_count_the_consumers_of_all_connections(self) -> None:
        orders = self.queue()
        with self.consuming(orders, hold, self.other), self.consuming(orders, hold, self.connect()):
            self.come_to("consumers", lambda: self.statistics(orders).consumers == 2, orders)
        self.come_to("consumers", lambda: self.statistics(orders).consumers == 0, orders)

    @promises(Feature.STATISTICS_OLDEST)
    def test_the_age_of_the_oldest_ready_message_is_in_seconds(self) -> None:
        """Of one that says itself when it was published, since some brokers go by that."""
        orders = self.queue()
        self.publish(1, to=orders, timestamp=int(time.time()))
        self.let_pass(self.brief)
        self.eventually(lambda: self.statistics(orders).ready == 1)
        self.come_to("oldest", lambda: self.statistics(orders).oldest is not None, orders)
        oldest = self.statistics(orders).oldest
        assert oldest is not None
        assert 0 <= oldest < 3 * self.patience

    @promises(Feature.STATISTICS)
    def test_statistics_leave_out_queues_that_do_not_exist(self) -> None:
        orders, missing = self.queue(), self.named("missing")
        self.eventually(lambda: list(self.connection.statistics([orders.name, missing])) == [orders.name])
        assert self.connection.statistics([missing]) == {}
        assert self.connection.statistics([]) == {}
        assert not self.exists(Queue(missing))

    @promises(Feature.STATISTICS)
    def test_all_queues_are_told_of_where_none_are_named_or_else_it_is_said_that_they_must_be(self) -> None:
        orders, others = self.queue(), self.queue("others")
        try:
            self.eventually(lambda: {orders.name, others.name} <= self.connection.statistics().keys())
        except NotSupported as refusal:
            assert self.transport in str(refusal)  # noqa: PT017 - either is good

    def come_to(self, number: str, look: Callable[[], bool], queue: Queue) -> None:
        """Wait for it; one of the ``untold`` is refused as it should be if it is None."""
        if number not in self.untold:
            self.eventually(look)
            return
        told = getattr(self.statistics(queue), number)
        assert told is None, f"{number} is {told!r}, though this transport is said not to tell it"
        raise NotSupported(f"statistics: transport {self.transport!r} does not tell {number}")

    def statistics(self, queue: Queue) -> QueueStatistics:
        """As the connection tells that does not consume; nothing at all counts as nothing known yet."""
        return self.connection.statistics([queue]).get(queue.name, QueueStatistics())
