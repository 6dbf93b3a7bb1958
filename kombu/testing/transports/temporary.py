"""Promises about what goes away by itself: exclusive, auto-deleted and expiring queues, auto-deleted exchanges."""

from __future__ import annotations

from collections.abc import Callable

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import NotFound, ResourceLocked
from kombu.message import Message
from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, promises


class TemporaryConformance(TransportCase):
    """What belongs to a connection, or to those who use it, and ends with them."""

    @promises(Feature.EXCLUSIVE)
    def test_an_exclusive_queue_is_locked_for_every_other_connection(self) -> None:
        mine = self.queue("mine", exclusive=True)
        uses: tuple[Callable[[Queue], object], ...] = (
            lambda queue: queue.queue_declare(),
            lambda queue: queue.queue_declare(passive=True),
            lambda queue: queue.consume(),
            lambda queue: queue.get(),
            lambda queue: queue.purge(),
            lambda queue: queue.delete(),
            lambda queue: queue.bind_to("amq.direct", "key"),
        )
        for use in uses:
            with refused(ResourceLocked, naming=mine.name):
                use(mine(self.other.channel()))

    @promises(Feature.EXCLUSIVE)
    def test_everybody_may_publish_to_an_exclusive_queue(self) -> None:
        mine = self.queue("mine", exclusive=True, connection=self.other)
        self.publish(1, to=mine)
        assert self.take(mine, 1, self.other) == [1]

    @promises(Feature.EXCLUSIVE)
    def test_an_exclusive_queue_ends_with_its_connection(self) -> None:
        with Connection(self.url()) as owner:
            mine = self.queue("mine", exclusive=True, connection=owner)
            mine(owner.channel()).queue_declare(passive=True)
        self.eventually(lambda: not self.exists(mine))

    @promises(Feature.AUTO_DELETE)
    def test_an_auto_deleted_queue_ends_with_its_last_consumer(self) -> None:
        news, third = self.queue("news", auto_delete=True), self.connect()
        first, second = self.other.channel(), third.channel()
        tags = [news(channel).consume() for channel in (first, second)]
        first.basic_cancel(tags[0])
        assert self.exists(news)
        second.basic_cancel(tags[1])
        self.eventually(lambda: not self.exists(news))

    @promises(Feature.AUTO_DELETE)
    def test_an_auto_deleted_queue_ends_when_the_connection_of_its_last_consumer_closes(self) -> None:
        news = self.queue("news", auto_delete=True)
        with Connection(self.url()) as connection:
            news(connection).consume()
        self.eventually(lambda: not self.exists(news))

    @promises(Feature.AUTO_DELETE)
    def test_an_auto_deleted_queue_stays_until_it_had_a_consumer(self) -> None:
        news = self.queue("news", auto_delete=True)
        self.publish(1, to=news)
        self.connection.release()
        self.let_pass(self.brief)
        message = news(self.other).get()
        assert message is not None
        assert message.payload == 1
        assert self.exists(news)

    @promises(Feature.EXPIRES)
    def test_a_queue_that_nobody_uses_expires(self) -> None:
        orders = self.queue(expires=self.brief)
        self.publish(1, to=orders)
        self.eventually(lambda: not self.look_again_later(orders))

    @promises(Feature.EXPIRES)
    def test_a_queue_with_a_consumer_does_not_expire(self) -> None:
        received: list[Message] = []

        def consumed_in_time() -> Queue | None:
            """However slow the machine is, it is once."""
            orders = self.queue(expires=self.brief)
            try:
                orders(self.other.channel()).consume(callback=received.append)
            except NotFound:
                return None
            return orders

        orders = self.eventually(consumed_in_time)
        self.let_pass(self.brief * 2)
        self.publish(1, to=orders)
        self.drain(self.other, lambda: len(received) == 1)

    @promises(Feature.EXPIRES)
    def test_a_queue_that_has_time_left_is_there(self) -> None:
        orders = self.queue(expires=60.0)
        self.publish(1, to=orders)
        assert self.take(orders) == [1]
        assert self.exists(orders)

    @promises(Feature.AUTO_DELETE_EXCHANGE)
    def test_an_auto_deleted_exchange_ends_with_its_last_binding(self) -> None:
        news = self.exchange("direct", "news", auto_delete=True)
        first, second = self.queue("first", news, "a"), self.queue("second", news, "b")
        first.unbind_from(news, "a", channel=self.connection)
        self.declare_passively(news.name)
        second(self.connection).delete()
        with refused(NotFound, naming=news.name):
            self.declare_passively(news.name)

    @promises(Feature.AUTO_DELETE_EXCHANGE)
    def test_an_auto_deleted_exchange_stays_until_it_had_a_binding(self) -> None:
        news = self.exchange("direct", "news", auto_delete=True)
        self.connection.release()
        self.declare_passively(news.name)

    def declare_passively(self, exchange: str) -> None:
        self.other.channel().exchange_declare(exchange, passive=True)

    def look_again_later(self, queue: Queue) -> bool:
        """Looking may be a use of the queue, so there is more than its life between two looks."""
        self.let_pass(self.brief * 2)
        return self.exists(queue)
