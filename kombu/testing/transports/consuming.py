"""Promises about consuming: who gets how many of the messages, and when."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from kombu.connection import Connection
from kombu.message import Message
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.features import Feature, promises


class ConsumingConformance(TransportCase):
    """Several consumers, on one connection and on many."""

    @promises(Feature.PREFETCH)
    def test_a_consumer_holds_no_more_than_its_prefetch(self) -> None:
        orders, received = self.queue(), list[Message]()
        self.publish(1, 2, 3, to=orders)
        with self.consuming(orders, received.append, prefetch=2):
            self.drain_all(self.other)
            assert [message.payload for message in received] == [1, 2]
            received[0].ack()
            self.drain_all(self.other)
        assert [message.payload for message in received] == [1, 2, 3]

    @promises(Feature.PREFETCH)
    def test_what_is_beyond_the_prefetch_of_one_is_there_for_another(self) -> None:
        orders, received = self.queue(), list[Message]()
        self.publish(1, 2, to=orders)
        with self.consuming(orders, received.append, prefetch=1):
            self.drain(self.other, lambda: len(received) == 1)
            assert self.take(orders, 1, self.connection) == [2]

    @promises(Feature.PREFETCH)
    def test_what_was_fetched_ahead_goes_back_when_the_consumer_ends(self) -> None:
        orders, received = self.queue(), list[Message]()
        self.publish(1, 2, 3, to=orders)
        with self.consuming(orders, received.append):
            self.drain(self.other, lambda: len(received) == 1)
        assert self.take(orders, 3 - len(received), self.connection) == [2, 3][len(received) - 1 :]

    @promises(Feature.PREFETCH_TOGETHER)
    def test_the_consumers_of_a_channel_may_share_one_prefetch(self) -> None:
        first, second, received = self.queue("first"), self.queue("second"), list[Message]()
        self.publish(1, 2, to=first)
        self.publish(1, 2, to=second)
        channel = self.other.channel()
        channel.basic_qos(prefetch_count=3, apply_global=True)
        for queue in (first, second):
            queue(channel).consume(callback=received.append)
        self.drain_all(self.other)
        assert len(received) == 3
        received[0].ack()
        self.drain_all(self.other)
        assert len(received) == 4

    @promises(Feature.FAIRNESS)
    def test_the_consumers_of_a_queue_take_turns(self) -> None:
        orders, shares = self.queue(), Counter[str]()
        self.publish(*range(30), to=orders)
        handlers = [self.counting(shares, name) for name in "abc"]
        with (
            self.consuming(orders, handlers[0]),
            self.consuming(orders, handlers[1]),
            self.consuming(orders, handlers[2]),
        ):
            self.drain(self.other, lambda: shares.total() == 30)
        assert min(shares.values()) >= 5, f"the shares are {dict(shares)}"
        assert len(shares) == 3

    @promises(Feature.FAIRNESS)
    def test_the_consumers_of_two_connections_share_a_queue(self) -> None:
        orders, shares = self.queue(), Counter[str]()
        self.publish(*range(20), to=orders)
        third = self.connect()
        with (
            self.consuming(orders, self.counting(shares, "a"), self.other, prefetch=1),
            self.consuming(orders, self.counting(shares, "b"), third, prefetch=1),
        ):
            while shares.total() < 20:
                before = shares.total()
                self.drain_in_turn(self.other, third)
                assert shares.total() > before, f"after {before} of 20 messages neither got any"
        assert min(shares["a"], shares["b"]) >= 5, f"the shares are {dict(shares)}"

    @promises(Feature.FAIRNESS)
    def test_a_long_queue_does_not_keep_a_short_one_waiting(self) -> None:
        long, short, received = self.queue("long"), self.queue("short"), list[Message]()
        self.publish(*range(200), to=long)
        self.publish("short", to=short)

        def handle(message: Message) -> None:
            received.append(message)
            message.ack()

        with self.consuming([long, short], handle, prefetch=5):
            self.drain(self.other, lambda: any(message.payload == "short" for message in received))
        assert len(received) <= 100

    @promises(Feature.FAIRNESS)
    def test_many_consumers_at_once_handle_every_message_once(self) -> None:
        orders, count = self.queue(), 60
        self.publish(*range(count), to=orders)
        handled, complete = Counter[int](), threading.Event()

        def work() -> None:
            with Connection(self.url()) as connection, self.consuming(orders, handle, connection, prefetch=3):
                self.drain_until(connection, complete)

        def handle(message: Message) -> None:
            handled[message.payload] += 1
            message.ack()
            if len(handled) == count:
                complete.set()

        self.at_once([work] * 3)
        assert handled == Counter(range(count))
        assert self.is_empty(orders)

    @promises(Feature.FAIRNESS)
    def test_a_consumer_that_waits_is_given_what_comes(self) -> None:
        orders, received, waiting = self.queue(), threading.Event(), threading.Event()

        def wait() -> None:
            with Connection(self.url()) as connection, self.consuming(orders, received_by, connection):
                waiting.set()
                self.drain_until(connection, received)

        def received_by(message: Message) -> None:
            message.ack()
            received.set()

        def publish() -> None:
            assert waiting.wait(self.patience)
            with Connection(self.url()) as connection:
                connection.Producer().publish(1, routing_key=orders.name)

        self.at_once([wait, publish])
        assert received.is_set()

    @promises(Feature.FLOW)
    def test_a_consumer_may_be_stopped_for_a_while(self) -> None:
        orders, received, channel = self.queue(), list[Message](), self.other.channel()
        orders(channel).consume(callback=received.append)
        channel.flow(False)
        self.publish(1, to=orders)
        self.drain_all(self.other)
        assert received == []
        channel.flow(True)
        self.drain(self.other, lambda: len(received) == 1)

    @promises(Feature.CONSUMER_PRIORITY)
    def test_a_consumer_of_higher_priority_is_served_first(self) -> None:
        orders, low, high = self.queue(), list[Message](), list[Message]()
        channel = self.other.channel()
        channel.basic_consume(orders.name, callback=low.append, arguments={"x-priority": 1})
        channel.basic_consume(orders.name, callback=high.append, arguments={"x-priority": 9})
        self.publish(1, 2, 3, to=orders)
        self.drain_all(self.other)
        assert (len(low), len(high)) == (0, 3)

    @promises(Feature.SINGLE_ACTIVE)
    def test_only_the_first_of_several_consumers_is_served(self) -> None:
        orders = self.queue(queue_arguments={"x-single-active-consumer": True})
        first, second, third = list[Message](), list[Message](), self.connect()
        with self.consuming(orders, first.append), self.consuming(orders, second.append, third):
            self.publish(1, 2, to=orders)
            self.drain_all(third, self.other, third)
        assert (self.payloads(first), self.payloads(second)) == ([1, 2], [])

    @promises(Feature.SINGLE_ACTIVE)
    def test_the_next_consumer_takes_over_when_the_active_one_ends(self) -> None:
        orders = self.queue(queue_arguments={"x-single-active-consumer": True})
        first, second, third = list[Message](), list[Message](), self.connect()
        channel = self.other.channel()
        tag = orders(channel).consume(callback=first.append)
        with self.consuming(orders, second.append, third):
            self.publish(1, to=orders)
            self.drain(self.other, lambda: len(first) == 1)
            first[0].ack()
            channel.basic_cancel(tag)
            self.publish(2, to=orders)
            self.drain(third, lambda: len(second) == 1)
        assert (self.payloads(first), self.payloads(second)) == ([1], [2])

    def counting(self, shares: Counter[str], name: str) -> Callable[[Message], object]:
        """A handler that acknowledges, and counts its share."""

        def handle(message: Message) -> None:
            shares[name] += 1
            message.ack()

        return handle

    def drain_in_turn(self, *connections: Connection) -> None:
        """Each for one message, or a short while."""
        for connection in connections:
            with suppress(TimeoutError):
                connection.drain_events(timeout=self.brief)

    def drain_until(self, connection: Connection, told: threading.Event) -> None:
        """Drain until another thread says that it is done."""
        deadline = time.monotonic() + self.patience
        while not told.is_set():
            assert time.monotonic() < deadline, f"not done within {self.patience} s"
            self.drain_in_turn(connection)

    def payloads(self, messages: list[Message]) -> list[object]:
        return [message.payload for message in messages]
