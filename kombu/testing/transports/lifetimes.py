"""Promises about what ends by itself: messages with a time to live, and where the dead ones go."""

from __future__ import annotations

from typing import Any

from kombu.entity import Queue
from kombu.message import Message
from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.features import Feature, promises
from kombu.testing.transports.waiting import LONG


class LifetimeConformance(TransportCase):
    """Times to live (https://www.rabbitmq.com/docs/ttl) and dead letters (https://www.rabbitmq.com/docs/dlx)."""

    @promises(Feature.QUEUE_TTL)
    def test_a_message_that_waited_too_long_in_its_queue_is_not_delivered(self) -> None:
        orders = self.queue(message_ttl=self.brief)
        self.publish("late", to=orders)
        self.let_pass(self.brief * 1.5)
        assert self.is_empty(orders)

    @promises(Feature.QUEUE_TTL)
    def test_a_message_that_is_in_time_is_delivered(self) -> None:
        orders = self.queue(message_ttl=LONG)
        self.publish("in time", to=orders)
        assert self.take(orders) == ["in time"]

    @promises(Feature.QUEUE_TTL)
    def test_the_shorter_of_two_times_to_live_counts(self) -> None:
        orders = self.queue(message_ttl=self.brief)
        self.publish("late", to=orders, expiration=LONG)
        self.let_pass(self.brief * 1.5)
        assert self.is_empty(orders)

    @promises(Feature.EXPIRATION)
    def test_a_message_may_have_a_time_to_live_of_its_own(self) -> None:
        orders = self.queue()
        self.publish("late", to=orders, expiration=self.brief)
        self.publish("in time", to=orders, expiration=LONG)
        self.publish("for ever", to=orders)
        self.let_pass(self.brief * 1.5)
        assert self.take(orders, 2) == ["in time", "for ever"]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.EXPIRATION)
    def test_what_a_consumer_holds_does_not_expire(self) -> None:
        orders = self.queue()

        def taken_in_time() -> Message | None:
            """However slow the machine is, one of them is."""
            self.publish(1, to=orders, expiration=self.brief)
            return orders(self.other.channel()).get()

        message = self.eventually(taken_in_time)
        self.let_pass(self.brief * 1.5)
        message.ack()
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.DEAD_LETTERS)
    def test_a_rejected_message_becomes_a_dead_letter_that_tells_its_story(self) -> None:
        orders, dead = self.queue_with_dead_letters()
        self.publish({"id": 1}, to=orders, headers={"kept": "größe"}, message_id="m-1")
        self.receive(orders)[0].reject()
        self.other.release()
        letter = self.receive(dead)[0]
        assert (letter.payload, letter.properties["message_id"]) == ({"id": 1}, "m-1")
        assert letter.headers["kept"] == "größe"
        assert self.story(letter) == [(orders.name, "rejected", 1)]
        assert self.is_empty(orders)

    @promises(Feature.DEAD_LETTERS)
    def test_what_expires_becomes_a_dead_letter_though_nobody_consumes(self) -> None:
        orders, dead = self.queue_with_dead_letters()
        self.publish("late", to=orders, expiration=self.brief)
        letter = self.receive(dead)[0]
        assert letter.payload == "late"
        assert self.story(letter) == [(orders.name, "expired", 1)]
        assert "expiration" not in letter.properties

    @promises(Feature.DEAD_LETTERS)
    def test_a_dead_letter_keeps_its_routing_key_unless_its_queue_names_another(self) -> None:
        grave = self.exchange("topic", "grave")
        kept, replaced = self.queue("kept", grave, "order.#"), self.queue("replaced", grave, "dead")
        first = self.queue("first", self.exchange("topic"), "#", queue_arguments=_leads_to(grave.name))
        second = self.queue("second", queue_arguments=_leads_to(grave.name, "dead"))
        self.publish(1, to=self.exchange("topic"), key="order.created")
        self.publish(2, to=second)
        for queue in (first, second):
            self.receive(queue)[0].reject()
            self.other.release()
        assert (self.take(kept), self.take(replaced)) == ([1], [2])

    @promises(Feature.DEAD_LETTERS)
    def test_a_message_that_dies_again_is_counted(self) -> None:
        orders, dead = self.queue_with_dead_letters()
        self.publish(1, to=orders)
        for deaths in (1, 2):
            self.receive(orders)[0].reject()
            self.other.release()
            letter = self.receive(dead)[0]
            assert self.story(letter) == [(orders.name, "rejected", deaths)]
            self.publish(1, to=orders, headers=letter.headers)
            letter.ack()
            self.other.release()

    @promises(Feature.DEAD_LETTERS)
    def test_a_requeued_message_is_no_dead_letter(self) -> None:
        orders, dead = self.queue_with_dead_letters()
        self.publish(1, to=orders)
        self.receive(orders)[0].requeue()
        self.other.release()
        assert self.is_empty(dead)
        assert self.take(orders) == [1]

    @promises(Feature.DELIVERY_LIMIT)
    def test_a_message_that_is_given_up_becomes_a_dead_letter(self) -> None:
        orders, dead = self.queue_with_dead_letters(**{"x-delivery-limit": 1})
        self.publish("poison", to=orders)
        for _ in range(2):
            self.receive(orders)[0].requeue()
        self.other.release()
        letter = self.first_after_a_look(orders, dead)
        assert letter.payload == "poison"
        assert self.story(letter) == [(orders.name, "delivery_limit", 1)]

    def queue_with_dead_letters(self, **arguments: object) -> tuple[Queue, Queue]:
        """And the queue that gets them."""
        grave = self.exchange("fanout", "grave")
        dead = self.queue("dead", grave)
        return self.queue(queue_arguments={**_leads_to(grave.name), **arguments}), dead

    def first_after_a_look(self, orders: Queue, dead: Queue) -> Message:
        """Some transports give a message up when they would deliver it again."""
        assert self.is_empty(orders)
        return self.receive(dead)[0]

    def story(self, letter: Message) -> list[tuple[Any, Any, Any]]:
        """Queue, reason and count of each death, the latest first."""
        return [(death["queue"], death["reason"], death["count"]) for death in letter.headers["x-death"]]


def _leads_to(exchange: str, key: str | None = None) -> dict[str, object]:
    arguments: dict[str, object] = {"x-dead-letter-exchange": exchange}
    return arguments if key is None else {**arguments, "x-dead-letter-routing-key": key}
