"""Promises about settling: acknowledged means gone, everything else comes back."""

from __future__ import annotations

from kombu.exceptions import MessageStateError, NotFound, NotSupported
from kombu.message import Message
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises


class SettlingConformance(TransportCase):
    """What a consumer does with its messages, and what becomes of them when it cannot."""

    @promises(Feature.ACKNOWLEDGING)
    def test_an_acknowledged_message_is_gone(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        assert self.take(orders) == [1]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.ACKNOWLEDGING)
    def test_acknowledging_several_acknowledges_all_before(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        self.receive(orders, 3)[1].ack(multiple=True)
        self.other.release()
        assert self.take(orders) == [3]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.ACKNOWLEDGING)
    def test_what_a_closed_connection_had_not_settled_comes_back_in_its_order(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        self.receive(orders, 2)[0].ack()
        self.other.release()
        again = self.receive(orders, 2)
        assert [message.payload for message in again] == [2, 3]
        assert again[0].delivery_info["redelivered"]

    @promises(Feature.ACKNOWLEDGING)
    def test_what_one_consumer_holds_no_other_is_given(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        held = self.receive(orders)
        with self.consuming(orders, held.append, self.connection):
            self.drain_all(self.connection)
        assert [message.payload for message in held] == [1]

    @promises(Feature.ACKNOWLEDGING)
    def test_without_acknowledgement_a_message_is_gone_when_it_is_delivered(self) -> None:
        orders, received = self.queue(), list[Message]()
        self.publish(1, 2, to=orders)
        with self.consuming(orders, received.append, self.other, no_ack=True):
            self.drain(self.other, lambda: len(received) == 2)
        self.other.release()
        assert [message.payload for message in received] == [1, 2]
        assert self.is_empty(orders)

    @promises(Feature.ACKNOWLEDGING)
    def test_a_message_is_settled_once(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        message = self.receive(orders)[0]
        message.ack()
        for settle in (message.ack, message.reject, message.requeue):
            with refused(MessageStateError):
                settle()

    @promises(Feature.ACKNOWLEDGING)
    def test_a_rejected_message_is_dropped_without_a_place_for_it(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        self.receive(orders)[0].reject()
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.REQUEUE)
    def test_a_requeued_message_comes_again_at_its_old_place(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        self.receive(orders)[0].requeue()
        again = self.receive(orders, 3)
        assert [message.payload for message in again] == [1, 2, 3]
        assert [message.delivery_info["redelivered"] for message in again] == [True, False, False]

    @promises(Feature.REQUEUE)
    def test_recovering_puts_everything_back(self) -> None:
        orders = self.queue()
        self.publish(1, 2, to=orders)
        channel = self.receive(orders, 2)[0].channel
        assert channel is not None
        channel.basic_recover(requeue=True)
        assert self.take(orders, 2) == [1, 2]

    @promises(Feature.GET)
    def test_one_message_may_be_taken_at_a_time(self) -> None:
        orders = self.queue()
        assert orders(self.other).get() is None
        self.publish(1, 2, to=orders)
        first = orders(self.other).get()
        assert first is not None
        assert (first.payload, first.delivery_info["redelivered"]) == (1, False)
        first.requeue()
        again = self.eventually(lambda: orders(self.other).get())
        assert (again.payload, again.delivery_info["redelivered"]) == (1, True)
        again.ack()
        self.other.release()
        assert self.take(orders) == [2]

    @promises(Feature.GET)
    def test_a_message_that_is_taken_without_acknowledgement_is_gone(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        message = orders(self.other).get(no_ack=True)
        assert message is not None
        assert message.payload == 1
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.GET)
    def test_a_message_that_is_taken_by_one_is_not_there_for_another(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        assert orders(self.other).get() is not None
        assert orders(self.connection).get() is None

    @promises(Feature.REDELIVERY)
    def test_what_a_killed_process_held_comes_back_marked(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        self.hold_and_die(orders.name)
        again = self.receive(orders)[0]
        assert (again.payload, again.delivery_info["redelivered"]) == (1, True)
        again.ack()
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.REDELIVERY)
    def test_what_a_live_connection_holds_does_not_come_back_however_long_it_takes(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        holder = self.connect(**self.dying)
        held = self.receive(orders, 1, holder)[0]
        self.let_pass(self.lease * 1.6)
        assert self.is_empty(orders)
        held.ack()
        holder.release()
        assert self.is_empty(orders)

    @promises(Feature.DELIVERY_COUNT)
    def test_every_delivery_is_counted_also_one_that_ended_with_its_process(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        first = self.receive(orders)[0]
        assert self.count(first) == 1
        first.requeue()
        self.other.release()
        self.hold_and_die(orders.name)
        assert self.count(self.receive(orders)[0]) == 3

    @promises(Feature.DELIVERY_LIMIT)
    def test_a_message_that_was_tried_too_often_is_given_up(self) -> None:
        orders = self.queue(queue_arguments={"x-delivery-limit": 2})
        self.publish("poison", "good", to=orders)
        for _ in range(3):
            poison = self.receive(orders)[0]
            assert poison.payload == "poison"
            poison.requeue()
        assert self.take(orders) == ["good"]
        self.other.release()
        assert self.is_empty(orders)

    @promises(Feature.ERRORS)
    def test_consuming_from_what_does_not_exist_is_refused(self) -> None:
        missing = self.named("missing")
        with refused(NotFound, naming=missing):
            self.other.channel().basic_consume(missing, callback=print)
        with refused(NotFound, naming=missing):
            self.other.channel().basic_get(missing)

    @promises(Feature.ERRORS)
    def test_publishing_to_an_exchange_that_does_not_exist_is_refused(self) -> None:
        with refused(NotFound, naming=self.named("nowhere")):
            self.connection.Producer().publish(1, exchange=self.named("nowhere"), routing_key="key")

    @promises(Feature.ERRORS)
    def test_an_error_refuses_one_operation_and_the_connection_goes_on(self) -> None:
        orders, refusals = self.queue(), self.connection.channel_errors
        with refused(*refusals):
            self.connection.channel().basic_get(self.named("missing"))
        self.publish(1, to=orders)
        assert self.take(orders) == [1]

    @promises(Feature.ERRORS)
    def test_a_drain_that_is_given_no_message_ends_in_time(self) -> None:
        with self.consuming(self.queue(), lambda message: None), refused(TimeoutError):
            self.other.drain_events(timeout=self.brief)

    @promises(Feature.ERRORS)
    def test_what_a_handler_raises_reaches_its_caller_and_the_message_is_not_lost(self) -> None:
        def fail(message: Message) -> None:
            raise ZeroDivisionError

        orders = self.queue()
        self.publish(1, to=orders)
        with refused(ZeroDivisionError), self.consuming(orders, fail):
            self.drain(self.other, lambda: False)
        self.other.release()
        assert self.take(orders) == [1]

    def count(self, message: Message) -> object:
        """Which a transport may leave out, but not make up."""
        if "delivery_count" not in message.delivery_info:
            raise NotSupported(f"transport {self.transport!r} gives no delivery_count")
        return message.delivery_info["delivery_count"]
