"""Promises about statistics: the same numbers of every queue, whatever the broker, or None where it does not tell."""

from __future__ import annotations

from contextlib import suppress

from kombu.entity import Queue
from kombu.exceptions import NotSupported
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.declaring import hold
from kombu.testing.transports.features import Feature, promises
from kombu.transport.base import QueueStatistics


class StatisticsConformance(TransportCase):
    """``connection.statistics()``. A broker may take its time to count; what it cannot tell is None, never a guess."""

    @promises(Feature.STATISTICS)
    def test_statistics_tell_how_many_messages_are_ready(self) -> None:
        orders, empty = self.queue(), self.queue("empty")
        self.publish(1, 2, 3, to=orders)
        self.eventually(lambda: self.statistics(orders).ready == 3)
        assert self.statistics(empty).ready == 0
        assert self.statistics(empty).oldest is None
        assert self.statistics(empty).delayed in (0, None)

    @promises(Feature.STATISTICS)
    def test_what_a_consumer_holds_counts_as_leased_until_it_is_settled(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        [held] = self.receive(orders)
        self.eventually(lambda: self.statistics(orders).ready == 2)
        assert self.statistics(orders).leased in (1, None)
        held.ack()
        self.eventually(lambda: self.statistics(orders).leased in (0, None))
        assert self.statistics(orders).ready == 2

    @promises(Feature.STATISTICS)
    def test_a_delayed_message_counts_as_delayed_and_not_as_ready(self) -> None:
        orders = self.queue()
        with suppress(NotSupported):
            self.publish("later", to=orders, delay=600.0)
        self.publish("now", to=orders)
        self.eventually(lambda: self.statistics(orders).ready == 1)
        assert self.statistics(orders).delayed in (0, 1, None)

    @promises(Feature.STATISTICS)
    def test_statistics_count_the_consumers_of_all_connections(self) -> None:
        orders = self.queue()
        with self.consuming(orders, hold, self.other), self.consuming(orders, hold, self.connect()):
            self.eventually(lambda: self.statistics(orders).consumers in (2, None))
        self.eventually(lambda: self.statistics(orders).consumers in (0, None))

    @promises(Feature.STATISTICS)
    def test_the_age_of_the_oldest_ready_message_is_in_seconds(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        self.let_pass(self.brief)
        self.eventually(lambda: self.statistics(orders).ready == 1)
        oldest = self.statistics(orders).oldest
        assert oldest is None or 0 <= oldest < 3 * self.patience

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

    def statistics(self, queue: Queue) -> QueueStatistics:
        """As the connection tells that does not consume; nothing at all counts as nothing known yet."""
        return self.connection.statistics([queue]).get(queue.name, QueueStatistics())
