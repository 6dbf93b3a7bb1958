"""Promises to operators: what waits can be looked at, chosen messages requeued and discarded, a queue paused."""

from __future__ import annotations

from kombu.exceptions import NotFound
from kombu.operating import browse, discard, pause, paused, requeue, resume
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises


class OperatingConformance(TransportCase):
    """``kombu.operating``, where the transport has it."""

    @promises(Feature.BROWSING)
    def test_what_waits_is_shown_page_by_page_and_not_taken(self) -> None:
        orders = self.queue()
        for number in range(5):
            self.publish(number, to=orders, headers={"number": number}, delay=self.patience if number == 4 else 0)
        first = browse(self.other, orders, limit=3)
        rest = browse(self.other, orders.name, limit=3, after=first[-1].id)
        shown = [each.message for each in (*first, *rest)]
        assert [message.payload for message in shown] == list(range(5))
        assert [message.headers["number"] for message in shown] == list(range(5))
        assert self.take(orders, 4) == list(range(4))

    @promises(Feature.BROWSING)
    def test_chosen_messages_are_discarded_and_those_that_are_held_left_alone(self) -> None:
        orders = self.queue()
        self.publish(*range(4), to=orders)
        ids = [each.id for each in browse(self.connection, orders)]
        [held] = self.receive(orders)
        assert held.payload == 0
        assert discard(self.connection, orders, [ids[0], ids[2]]) == 1
        held.requeue()
        assert sorted(self.take(orders, 3)) == [0, 1, 3]
        assert discard(self.connection, orders, ids) == 0

    @promises(Feature.BROWSING)
    def test_a_dead_letter_that_is_requeued_is_delivered_where_it_came_from(self) -> None:
        dead = self.queue("dead")
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
        orders = self.queue("orders", queue_arguments=arguments)
        self.publish("good", "bad", to=orders)
        for message in self.receive(orders, 2):
            message.reject()
        self.eventually(lambda: len(browse(self.connection, dead)) == 2)
        [chosen] = [each.id for each in browse(self.connection, dead) if each.message.payload == "good"]
        assert requeue(self.connection, dead, [chosen]) == 1
        assert self.take(orders) == ["good"]
        assert [each.message.payload for each in browse(self.connection, dead)] == ["bad"]

    @promises(Feature.PAUSING)
    def test_a_paused_queue_takes_messages_and_gives_none_out_until_it_is_resumed(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        pause(self.connection, orders)
        self.publish(2, to=orders)
        assert orders.name in paused(self.other)
        assert self.is_empty(orders)
        resume(self.other, orders.name)
        assert orders.name not in paused(self.connection)
        assert self.take(orders, 2) == [1, 2]

    @promises(Feature.PAUSING)
    def test_a_queue_that_is_not_there_cannot_be_paused(self) -> None:
        with refused(NotFound, naming=self.named("nobody")):
            pause(self.connection, self.named("nobody"))
