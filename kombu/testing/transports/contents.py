"""Promises about what a message carries: body, properties and headers come out as they went in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kombu.connection import Connection
from kombu.consumer import Consumer
from kombu.entity import Queue
from kombu.exceptions import DecodeError, EncodeError, KombuError
from kombu.message import Message
from kombu.mixins import ConsumerMixin, MakesConsumers
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises
from kombu.transport.base import Channel

HEADERS: dict[str, object] = {
    "text": 'größe 注文 📦 it\'s "50%"',
    "größe 注文": "a name in any script",
    "empty": "",
    "number": 2**40,
    "negative": -1,
    "fraction": 0.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "two", None, [3.5, []]],
    "table": {"one": {"two": {"three": {"four": {"five": [{"six": "ü"}]}}}}, "empty": {}},
}
PROPERTIES: dict[str, object] = {
    "correlation_id": "größe-1",
    "reply_to": "answers",
    "message_id": "m-1",
    "timestamp": 1_790_000_000,
    "type": "order.created",
    "app_id": "shop",
}
JUNK = {"content_type": "application/json", "content_encoding": "utf-8"}
MIB = 2**20


class _Worker(ConsumerMixin):
    """Takes one body."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection, self.queue, self.bodies = connection, queue, list[object]()

    def get_consumers(self, Consumer: MakesConsumers, channel: Channel) -> Sequence[Consumer]:
        return [Consumer(queues=[self.queue], callbacks=[self.take])]

    def take(self, body: object, message: Message) -> None:
        message.ack()
        self.bodies.append(body)
        self.should_stop = True


def _never(body: object, message: Message) -> None:
    raise AssertionError(f"{body!r} was decoded")


class ContentConformance(TransportCase):
    """Bodies are bytes, and what describes them stays with them."""

    @promises(Feature.BODIES)
    def test_a_body_may_have_any_bytes_and_none(self) -> None:
        for body in (b"", b"\x00", bytes(range(256)), b"\xff\xfe\x80", bytes(range(256)) * 256):
            assert self.round_trip(body, content_type="application/octet-stream").body == body

    @promises(Feature.BODIES)
    def test_an_object_comes_out_as_it_went_in(self) -> None:
        body: object
        for body in ({"größe": [1, 2.5, None, True]}, [], "注文 📦", 7, None):
            assert self.round_trip(body).payload == body

    @promises(Feature.BODIES)
    def test_a_body_that_is_not_what_it_says_is_raised_with_its_message_and_kept(self) -> None:
        orders, errors = self.queue(), list[DecodeError]()
        self.publish(b"{", to=orders, **JUNK)
        with self.other.Consumer(orders, callbacks=[_never]):
            while not errors:
                try:
                    self.drain(self.other, lambda: False)
                except DecodeError as error:
                    errors.append(error)
            errors[0].message.requeue()
        [message] = self.receive(orders)
        assert message.body == b"{"
        message.reject()
        assert self.is_empty(orders)

    @promises(Feature.BODIES)
    def test_a_mixin_puts_what_it_cannot_decode_where_it_is_kept(self) -> None:
        orders, dead = self.queue("orders"), self.queue("orders.dead")
        self.publish(b"{", to=orders, headers={"number": 7}, **JUNK)
        self.publish("good", to=orders)
        worker = _Worker(self.connect(), orders)
        worker.run()
        assert worker.bodies == ["good"]
        [message] = self.receive(dead)
        assert (message.body, message.content_type, message.headers["number"]) == (b"{", "application/json", 7)
        assert "JSON" in message.headers["x-rejected-because"]
        message.ack()
        assert self.is_empty(orders)

    @promises(Feature.LARGE_BODIES)
    def test_a_body_of_a_mebibyte_comes_out_whole(self) -> None:
        body = bytes(range(256)) * (MIB // 256)
        assert self.round_trip(body, content_type="application/octet-stream").body == body

    @promises(Feature.PROPERTIES)
    def test_properties_come_out_as_they_went_in(self) -> None:
        message = self.round_trip(1, **PROPERTIES)
        assert {name: message.properties.get(name) for name in PROPERTIES} == PROPERTIES

    @promises(Feature.PROPERTIES)
    def test_a_message_says_what_its_body_is(self) -> None:
        message = self.round_trip("grün".encode("latin-1"), content_type="text/plain", content_encoding="latin-1")
        assert (message.content_type, message.content_encoding) == ("text/plain", "latin-1")

    @promises(Feature.PROPERTIES)
    def test_a_message_says_which_way_it_came(self) -> None:
        shop = self.exchange("topic")
        self.publish(1, to=shop, key="nowhere")
        orders = self.queue("orders", shop, "order.#")
        self.publish(1, to=shop, key="order.größe")
        info = self.receive(orders)[0].delivery_info
        assert (info["exchange"], info["routing_key"], info["redelivered"]) == (shop.name, "order.größe", False)

    @promises(Feature.PROPERTIES)
    def test_headers_of_all_kinds_come_out_as_they_went_in(self) -> None:
        assert self.round_trip(1, headers=HEADERS).headers == HEADERS

    @promises(Feature.PROPERTIES)
    def test_numbers_in_headers_keep_their_type(self) -> None:
        found = self.round_trip(1, headers={"yes": True, "one": 1, "half": 1.0}).headers
        assert [type(found[name]) for name in ("yes", "one", "half")] == [bool, int, float]

    @promises(Feature.PROPERTIES)
    def test_ten_thousand_headers_are_kept_or_refused_but_never_cut(self) -> None:
        headers, orders = {f"header {number}": number for number in range(10_000)}, self.queue()
        with suppress(KombuError):
            self.publish(1, to=orders, headers=headers)
            assert self.receive(orders)[0].headers == headers
            return
        assert self.is_empty(orders)

    @promises(Feature.PROPERTIES)
    def test_a_header_that_cannot_be_sent_is_refused_and_nothing_is_published(self) -> None:
        orders = self.queue()
        with refused(EncodeError):
            self.publish(1, to=orders, headers={"thing": object()})
        assert self.is_empty(orders)

    @promises(Feature.ORDER)
    def test_messages_come_in_the_order_in_which_they_were_published(self) -> None:
        orders, numbers = self.queue(), list(range(100))
        self.publish(*numbers, to=orders)
        assert self.take(orders, 100) == numbers

    @promises(Feature.ORDER)
    def test_messages_of_one_batch_come_in_its_order(self) -> None:
        orders, numbers = self.queue(), list(range(100))
        self.connection.Producer().publish_many(numbers, routing_key=orders.name)
        assert self.take(orders, 100) == numbers

    def round_trip(self, body: object, **options: Any) -> Message:
        queue = self.queue()
        self.publish(body, to=queue, **options)
        message = self.receive(queue)[0]
        message.ack()
        return message
