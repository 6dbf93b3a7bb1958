"""Promises about what comes first, and what comes later: priorities and delays."""

from __future__ import annotations

import time

from kombu.entity import Queue
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.features import Feature, promises

LONG = 60.0
"""Seconds; longer than any test."""


class WaitingConformance(TransportCase):
    """Messages that go before others, and messages that wait."""

    @promises(Feature.PRIORITY)
    def test_higher_priority_comes_first_and_equals_in_their_order(self) -> None:
        orders = self.queue(max_priority=9)
        for body, priority in (("low", 1), ("high", 9), ("none", 0), ("also high", 9), ("middle", 5)):
            self.publish(body, to=orders, priority=priority)
        assert self.take(orders, 5) == ["high", "also high", "middle", "low", "none"]

    @promises(Feature.PRIORITY)
    def test_a_priority_above_the_highest_counts_as_the_highest(self) -> None:
        orders = self.queue(max_priority=2)
        self.publish("first", to=orders, priority=2)
        self.publish("second", to=orders, priority=9)
        self.publish("last", to=orders, priority=1)
        assert self.take(orders, 3) == ["first", "second", "last"]

    @promises(Feature.PRIORITY)
    def test_a_queue_without_priorities_keeps_the_order(self) -> None:
        self.queue("ranked", max_priority=9)
        orders = self.queue()
        self.publish(1, to=orders, priority=0)
        self.publish(2, to=orders, priority=9)
        assert self.take(orders, 2) == [1, 2]

    @promises(Feature.PRIORITY)
    def test_a_requeued_message_keeps_its_priority(self) -> None:
        orders = self.queue(max_priority=9)
        self.publish("high", to=orders, priority=9)
        self.publish("low", to=orders, priority=1)
        self.receive(orders)[0].requeue()
        assert self.take(orders, 2) == ["high", "low"]

    @promises(Feature.DELAY)
    def test_a_delayed_message_comes_when_its_time_has_come(self) -> None:
        orders, begun = self.queue(), time.monotonic()
        self.publish("later", to=orders, delay=self.brief)
        self.publish("now", to=orders)
        assert sorted(self.take(orders, 2)) == ["later", "now"]  # on a slow machine both may be due
        assert time.monotonic() - begun >= self.brief * 0.9

    @promises(Feature.DELAY)
    def test_a_delayed_message_is_not_there_before(self) -> None:
        orders = self.queue()
        self.publish("later", to=orders, delay=LONG)
        assert self.is_empty(orders)
        assert orders(self.other).queue_declare(passive=True).message_count == 0

    @promises(Feature.DELAY)
    def test_a_message_may_be_requeued_for_later(self) -> None:
        orders = self.queue()
        self.publish(1, 2, to=orders)
        self.requeue_later(orders, LONG)
        assert self.take(orders) == [2]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.DELAY)
    def test_a_message_that_was_requeued_for_later_comes_again(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        self.requeue_later(orders, self.brief)
        again = self.receive(orders)[0]
        assert (again.payload, again.delivery_info["redelivered"]) == (1, True)

    def requeue_later(self, orders: Queue, delay: float) -> None:
        """The first of its messages."""
        self.receive(orders)[0].requeue(delay=delay)
        self.other.release()
