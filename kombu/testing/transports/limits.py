"""Promises about queues that may only hold so much (https://www.rabbitmq.com/docs/maxlength)."""

from __future__ import annotations

from kombu.exceptions import ChannelError
from kombu.testing.transports.case import refused
from kombu.testing.transports.features import Feature, promises
from kombu.testing.transports.lifetimes import LifetimeConformance

REFUSES = {"x-overflow": "reject-publish"}


class LimitConformance(LifetimeConformance):
    """What is too much is dropped at the head, or refused at the door."""

    @promises(Feature.MAX_LENGTH)
    def test_a_full_queue_drops_its_oldest_messages(self) -> None:
        orders = self.queue(max_length=2)
        self.publish(1, 2, 3, 4, to=orders)
        assert self.take(orders, 2) == [3, 4]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.MAX_LENGTH)
    def test_what_consumers_hold_does_not_count(self) -> None:
        orders = self.queue(max_length=2)
        self.publish(1, 2, to=orders)
        held = self.receive(orders, 2)
        self.publish(3, 4, to=orders)
        assert [message.payload for message in held] == [1, 2]
        assert self.take(orders, 2) == [3, 4]

    @promises(Feature.MAX_LENGTH)
    def test_what_is_dropped_becomes_a_dead_letter(self) -> None:
        orders, dead = self.queue_with_dead_letters(**{"x-max-length": 1})
        self.publish(1, 2, to=orders)
        letter = self.receive(dead)[0]
        assert letter.payload == 1
        assert self.story(letter) == [(orders.name, "maxlen", 1)]
        assert self.take(orders) == [2]

    @promises(Feature.MAX_BYTES)
    def test_a_queue_that_is_full_of_bytes_drops_its_oldest_messages(self) -> None:
        orders = self.queue(max_length_bytes=250)
        for letter in (b"a", b"b", b"c"):
            self.publish(letter * 100, to=orders, content_type="application/octet-stream")
        assert [message.body for message in self.receive(orders, 2)] == [b"b" * 100, b"c" * 100]
        assert self.is_empty(orders)

    @promises(Feature.OVERFLOW)
    def test_a_full_queue_refuses_instead_where_it_is_told_to(self) -> None:
        orders = self.queue(max_length=2, queue_arguments=REFUSES)
        self.publish(1, 2, to=orders)
        with refused(ChannelError, naming=orders.name):
            self.publish(3, to=orders)
        assert self.take(orders, 2) == [1, 2]

    @promises(Feature.OVERFLOW)
    def test_a_queue_that_refused_takes_messages_when_it_has_room_again(self) -> None:
        orders = self.queue(max_length=1, queue_arguments=REFUSES)
        self.publish(1, to=orders)
        assert self.take(orders) == [1]
        self.other.release()
        self.publish(2, to=orders)
        assert self.take(orders) == [2]
