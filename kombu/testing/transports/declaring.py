"""Promises about declaring, purging and deleting."""

from __future__ import annotations

from kombu.entity import Exchange, Queue
from kombu.exceptions import NotFound, PreconditionFailed
from kombu.message import Message
from kombu.testing.case import ALIKE_NAMES, HOSTILE_NAMES
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises


class DeclaringConformance(TransportCase):
    """What is declared exists for everybody, as it was declared."""

    @promises(Feature.DECLARING)
    def test_a_queue_that_is_declared_again_keeps_its_messages(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        orders.declare(channel=self.other)
        assert self.take(orders) == [1]

    @promises(Feature.DECLARING)
    def test_declaring_says_how_many_messages_are_ready(self) -> None:
        orders = self.queue()
        self.publish(1, 2, to=orders)
        assert orders(self.connection).queue_declare() == (orders.name, 2, 0)
        assert orders(self.other).queue_declare(passive=True) == (orders.name, 2, 0)

    @promises(Feature.DECLARING)
    def test_declaring_passively_only_looks(self) -> None:
        missing, orders = Queue(self.named("missing")), self.queue()
        for _ in range(2):
            with refused(NotFound, naming=missing.name):
                missing(self.other.channel()).queue_declare(passive=True)
        with refused(NotFound, naming=self.named("nowhere")):
            Exchange(self.named("nowhere"))(self.other.channel()).declare(passive=True)
        self.exchange("topic")(self.other.channel()).declare(passive=True)
        assert orders(self.other.channel()).queue_declare(passive=True).queue == orders.name

    @promises(Feature.DECLARING)
    def test_declaring_a_queue_differently_names_the_difference(self) -> None:
        self.queue("orders", durable=True)
        with refused(PreconditionFailed, naming="durable"):
            Queue(self.named("orders"), durable=False)(self.other.channel()).queue_declare()

    @promises(Feature.DECLARING)
    def test_declaring_an_exchange_with_another_type_names_the_difference(self) -> None:
        self.exchange("topic")
        with refused(PreconditionFailed, naming="type"):
            Exchange(self.named("shop"), "fanout")(self.other.channel()).declare()

    @promises(Feature.DECLARING)
    def test_the_broker_gives_a_name_to_a_queue_without_one(self) -> None:
        first, second = (Queue("")(self.connection) for _ in range(2))
        self._queues |= {first.declare(), second.declare()}
        assert first.name
        assert first.name != second.name
        self.publish(1, to=first)
        assert self.take(Queue(first.name)) == [1]

    @promises(Feature.DECLARING)
    def test_hostile_names_are_only_names(self) -> None:
        for name in HOSTILE_NAMES:
            short = name[: 255 - len(self.named(""))]
            exchange = self.exchange("direct", short)
            queue = self.queue(short, exchange, name)
            self.publish(name, to=exchange, key=name)
            assert self.take(queue) == [name]
            queue(self.other).delete()
            assert not self.exists(queue)

    @promises(Feature.DECLARING)
    def test_names_that_look_alike_are_kept_apart(self) -> None:
        queues = [(name, self.queue(name)) for name in ALIKE_NAMES]
        for name, queue in queues:
            self.publish(name, to=queue)
        for name, queue in reversed(queues):
            assert self.take(queue) == [name]

    @promises(Feature.DELETING)
    def test_purging_removes_what_is_ready_and_says_how_many(self) -> None:
        orders = self.queue()
        self.publish(1, 2, 3, to=orders)
        held = self.receive(orders)[0]
        assert orders(self.connection).purge() == 2
        assert self.is_empty(orders)
        held.requeue()
        assert self.take(orders) == [1]

    @promises(Feature.DELETING)
    def test_a_deleted_queue_is_gone_with_its_messages(self) -> None:
        orders = self.queue()
        self.publish(1, 2, to=orders)
        assert orders(self.other).delete() == 2
        assert not self.exists(orders)
        self.queue()
        assert self.is_empty(orders)

    @promises(Feature.DELETING)
    def test_a_queue_that_another_connection_deleted_is_missed_when_it_is_used(self) -> None:
        orders = self.queue()
        assert orders(self.connection.channel()).get() is None
        orders(self.other).delete()
        with refused(NotFound, naming=orders.name):
            orders(self.connection.channel()).get()
        with refused(NotFound, naming=orders.name):
            orders(self.connection.channel()).purge()

    @promises(Feature.DELETING)
    def test_a_queue_is_deleted_if_empty(self) -> None:
        orders = self.queue()
        self.publish(1, to=orders)
        with refused(PreconditionFailed, naming=orders.name):
            orders(self.other.channel()).delete(if_empty=True)
        assert self.take(orders) == [1]
        self.other.release()
        orders(self.connection.channel()).delete(if_empty=True)
        assert not self.exists(orders)

    @promises(Feature.CONSUMERS)
    def test_a_queue_is_deleted_only_if_no_connection_uses_it(self) -> None:
        orders = self.queue()
        with self.consuming(orders, hold, self.other), refused(PreconditionFailed, naming=orders.name):
            orders(self.connection.channel()).delete(if_unused=True)
        orders(self.connection.channel()).delete(if_unused=True)
        assert not self.exists(orders)

    @promises(Feature.CONSUMERS)
    def test_declaring_counts_the_consumers_of_all_connections(self) -> None:
        """Where that cannot be done, deleting a queue if it is unused is what gets refused."""
        orders, third = self.queue(), self.connect()
        with self.consuming(orders, hold, self.other), self.consuming(orders, hold, third):
            with refused(PreconditionFailed, naming=orders.name):
                orders(self.connection.channel()).delete(if_unused=True)
            assert orders(self.connection.channel()).queue_declare(passive=True).consumer_count == 2
        assert orders(self.connection.channel()).queue_declare(passive=True).consumer_count == 0

    @promises(Feature.DELETING)
    def test_an_exchange_is_deleted_if_unused(self) -> None:
        shop = self.exchange()
        orders = self.queue("orders", shop, "paid")
        with refused(PreconditionFailed, naming=shop.name):
            shop(self.other.channel()).delete(if_unused=True)
        orders.unbind_from(shop, "paid", channel=self.connection)
        shop(self.other.channel()).delete(if_unused=True)
        with refused(NotFound, naming=shop.name):
            self.publish(1, to=shop, key="paid")

    @promises(Feature.DELETING)
    def test_purging_what_does_not_exist_is_refused(self) -> None:
        with refused(NotFound, naming=self.named("missing")):
            Queue(self.named("missing"))(self.connection.channel()).purge()


def hold(message: Message) -> None:
    """A consumer that settles nothing."""
