"""Promises about routing: the four types of exchanges, bindings, and what nobody wants."""

from __future__ import annotations

from collections.abc import Mapping

from kombu.entity import Exchange, Queue
from kombu.exceptions import MessageReturned, NotFound
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises

TOPICS = ("order", "order.created", "order.created.eu", "order..eu", "invoice.created", "")


class RoutingConformance(TransportCase):
    """Where messages go (AMQP 0-9-1, section 3.1.3)."""

    @promises(Feature.DIRECT)
    def test_a_direct_exchange_takes_messages_to_the_queues_bound_by_their_key(self) -> None:
        shop = self.exchange("direct")
        paid, also_paid, sent = self.queue("a", shop, "paid"), self.queue("b", shop, "paid"), self.queue("c", shop, "*")
        self.publish(1, to=shop, key="paid")
        self.publish(2, to=shop, key="*")
        self.publish(3, to=shop, key="nobody's")
        assert (self.take(paid), self.take(also_paid), self.take(sent)) == ([1], [1], [2])
        assert self.all_empty(paid, also_paid, sent)

    @promises(Feature.DIRECT)
    def test_the_default_exchange_takes_messages_to_the_queue_of_that_name(self) -> None:
        orders, others = self.queue("orders"), self.queue("others")
        self.publish(1, to=orders)
        assert self.take(orders) == [1]
        assert self.all_empty(orders, others)

    @promises(Feature.FANOUT)
    def test_a_fanout_exchange_takes_messages_to_every_queue(self) -> None:
        news = self.exchange("fanout")
        queues = [self.queue(name, news, key) for name, key in (("a", ""), ("b", "some key"), ("c", "#"))]
        self.publish("hello", to=news, key="any")
        assert [self.take(queue) for queue in queues] == [["hello"]] * 3

    @promises(Feature.FANOUT)
    def test_copies_of_a_message_are_settled_apart(self) -> None:
        news = self.exchange("fanout")
        first, second = self.queue("a", news), self.queue("b", news)
        self.publish(1, to=news)
        assert self.take(first) == [1]
        assert self.take(second) == [1]

    @promises(Feature.TOPIC)
    def test_a_star_stands_for_one_word(self) -> None:
        assert self.topics_for("order.*") == ["order.created"]
        assert self.topics_for("*.created") == ["order.created", "invoice.created"]

    @promises(Feature.TOPIC)
    def test_a_hash_stands_for_any_number_of_words(self) -> None:
        assert self.topics_for("order.#") == ["order", "order.created", "order.created.eu", "order..eu"]
        assert self.topics_for("#.eu") == ["order.created.eu", "order..eu"]
        assert self.topics_for("#") == list(TOPICS)

    @promises(Feature.TOPIC)
    def test_a_topic_without_wildcards_is_taken_by_the_letter(self) -> None:
        assert self.topics_for("order.created") == ["order.created"]

    @promises(Feature.HEADERS)
    def test_a_headers_exchange_wants_all_headers_unless_any_will_do(self) -> None:
        shop, headers = self.exchange("headers"), [{"city": "Kyiv"}, {"city": "Kyiv", "paid": True}, {"city": "Oslo"}]
        all_of, any_of = self.queue("all"), self.queue("any")
        self.bind_by_headers(all_of, shop, {"x-match": "all", "city": "Kyiv", "paid": True})
        self.bind_by_headers(any_of, shop, {"x-match": "any", "city": "Kyiv", "paid": True})
        for number, each in enumerate(headers):
            self.publish(number, to=shop, headers=each)
        assert (self.take(all_of), self.take(any_of, 2)) == ([1], [0, 1])
        assert self.all_empty(all_of, any_of)

    @promises(Feature.HEADERS)
    def test_a_headers_exchange_tells_values_of_different_types_apart(self) -> None:
        shop, numbers = self.exchange("headers"), self.queue("numbers")
        self.bind_by_headers(numbers, shop, {"x-match": "all", "size": 1})
        self.publish("text", to=shop, headers={"size": "1"})
        self.publish("number", to=shop, headers={"size": 1})
        assert self.take(numbers) == ["number"]
        assert self.is_empty(numbers)

    @promises(Feature.BINDINGS)
    def test_a_message_that_matches_several_bindings_of_a_queue_comes_once(self) -> None:
        shop = self.exchange("topic")
        orders = self.queue("orders", shop, "order.*")
        orders.bind_to(shop, "*.created", channel=self.connection)
        self.publish(1, to=shop, key="order.created")
        self.publish(2, to=shop, key="invoice.created")
        assert self.take(orders, 2) == [1, 2]
        assert self.is_empty(orders)

    @promises(Feature.BINDINGS)
    def test_what_another_connection_bound_counts_for_the_next_message(self) -> None:
        shop, orders = self.exchange("direct"), self.queue("orders")
        self.publish("nobody's", to=shop, key="paid")
        orders.bind_to(shop, "paid", channel=self.other)
        self.publish("mine", to=shop, key="paid")
        orders.unbind_from(shop, "paid", channel=self.other)
        self.publish("nobody's any more", to=shop, key="paid")
        assert self.take(orders) == ["mine"]
        assert self.is_empty(orders)

    @promises(Feature.BINDINGS)
    def test_unbinding_undoes_one_binding_and_leaves_the_others(self) -> None:
        shop = self.exchange("direct")
        orders, others = self.queue("orders", shop, "paid"), self.queue("others", shop, "paid")
        orders.bind_to(shop, "sent", channel=self.connection)
        orders.unbind_from(shop, "paid", channel=self.connection)
        self.publish(1, to=shop, key="paid")
        self.publish(2, to=shop, key="sent")
        assert (self.take(orders), self.take(others)) == ([2], [1])
        assert self.all_empty(orders, others)

    @promises(Feature.BINDINGS)
    def test_a_queue_that_is_declared_again_after_it_was_deleted_is_not_bound(self) -> None:
        shop = self.exchange("fanout")
        orders = self.queue("orders", shop)
        orders(self.other).delete()
        self.queue("orders")
        self.publish(1, to=shop)
        assert self.is_empty(orders)

    @promises(Feature.BINDINGS)
    def test_binding_what_does_not_exist_is_refused(self) -> None:
        shop, orders = self.exchange(), self.queue()
        with refused(NotFound, naming=self.named("nowhere")):
            orders.bind_to(self.named("nowhere"), "key", channel=self.connection.channel())
        with refused(NotFound, naming=self.named("no queue")):
            Queue(self.named("no queue")).bind_to(shop, "key", channel=self.connection.channel())

    @promises(Feature.EXCHANGE_BINDINGS)
    def test_messages_flow_from_one_exchange_into_another(self) -> None:
        source, sink = self.exchange("topic", "source"), self.exchange("fanout", "sink")
        orders = self.queue("orders", sink)
        sink.bind_to(source, "order.*", channel=self.connection)
        self.publish(1, to=source, key="order.created")
        self.publish(2, to=source, key="invoice.created")
        assert self.take(orders) == [1]
        sink.unbind_from(source, "order.*", channel=self.connection)
        self.publish(3, to=source, key="order.created")
        assert self.is_empty(orders)

    @promises(Feature.EXCHANGE_BINDINGS)
    def test_exchanges_bound_in_a_circle_deliver_once(self) -> None:
        there, back = self.exchange("fanout", "there"), self.exchange("fanout", "back")
        there.bind_to(back, channel=self.connection)
        back.bind_to(there, channel=self.connection)
        orders = self.queue("orders", back)
        self.publish(1, to=there)
        assert self.take(orders) == [1]
        assert self.is_empty(orders)

    @promises(Feature.ALTERNATE)
    def test_what_matches_no_binding_goes_to_the_alternate_exchange(self) -> None:
        spare = self.exchange("fanout", "spare")
        shop = self.exchange("direct", arguments={"alternate-exchange": spare.name})
        orders, unwanted = self.queue("orders", shop, "paid"), self.queue("unwanted", spare)
        self.publish(1, to=shop, key="paid")
        self.publish(2, to=shop, key="unheard of")
        assert (self.take(orders), self.take(unwanted)) == ([1], [2])
        assert self.all_empty(orders, unwanted)

    @promises(Feature.MANDATORY)
    def test_a_mandatory_message_that_no_queue_wants_comes_back(self) -> None:
        shop = self.exchange("direct")
        with refused(MessageReturned, naming=shop.name):
            self.publish(1, to=shop, key="paid", mandatory=True)
        orders = self.queue("orders", shop, "paid")
        self.publish(2, to=shop, key="paid", mandatory=True)
        assert self.take(orders) == [2]

    @promises(Feature.MANDATORY)
    def test_without_that_it_is_dropped(self) -> None:
        shop, orders = self.exchange("direct"), self.queue("orders")
        self.publish(1, to=shop, key="paid")
        assert self.is_empty(orders)

    def topics_for(self, key: str) -> list[object]:
        """Which of the topics come through a binding with this key."""
        shop = self.exchange("topic", key)
        queue = self.queue(key, shop, key)
        for topic in TOPICS:
            self.publish(topic, to=shop, key=topic)
        self.publish(None, to=queue)
        taken: list[object] = []
        while None not in taken:
            taken += self.take(queue)
        return taken[:-1]

    def bind_by_headers(self, queue: Queue, exchange: Exchange, arguments: Mapping[str, object]) -> None:
        queue.bind_to(exchange, arguments=arguments, channel=self.connection)

    def all_empty(self, *queues: Queue) -> bool:
        return all(map(self.is_empty, queues))
