"""Programs that were written for carrot run when their imports are changed; first those of carrot's README."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kombu import Exchange
from kombu.compat import BrokerConnection, Consumer, ConsumerSet, Messaging, Publisher
from kombu.exceptions import ContentDisallowed, PreconditionFailed
from kombu.message import Message
from kombu.transport.memory import MemoryStore
from tests.memory import PATIENCE, counts

EDITION = "http://cnn.com/rss/edition.rss"


@pytest.fixture
def conn(name: str) -> Iterator[BrokerConnection]:
    connection = BrokerConnection(hostname=name, transport="memory")
    yield connection
    connection.close()


@pytest.fixture
def feed(conn: BrokerConnection) -> Iterator[Consumer]:
    with Consumer(connection=conn, queue="feed", exchange="feed", routing_key="importer") as consumer:
        yield consumer


@pytest.fixture
def publisher(conn: BrokerConnection, feed: Consumer) -> Iterator[Publisher]:
    with Publisher(connection=conn, exchange="feed", routing_key="importer") as made:
        yield made


def test_readme_creating_a_connection() -> None:
    conn = BrokerConnection(
        hostname="localhost", port=5672, userid="test", password="test", virtual_host="test", transport="memory"
    )
    assert conn.connect().connected
    conn.close()


def test_readme_receiving_messages_using_a_consumer_and_sending_them_using_a_publisher(name: str) -> None:
    printed: list[str] = []
    imported = threading.Event()
    conn = BrokerConnection(hostname=name, transport="memory")
    consumer = Consumer(connection=conn, queue="feed", exchange="feed", routing_key="importer")

    def import_feed_callback(message_data: Any, message: Message) -> None:
        feed_url = message_data["import_feed"]
        printed.append(f"Got feed import message for: {feed_url}")
        message.ack()
        imported.set()

    def another_python_shell() -> None:
        conn = BrokerConnection(hostname=name, transport="memory")
        publisher = Publisher(connection=conn, exchange="feed", routing_key="importer")
        publisher.send({"import_feed": EDITION})
        publisher.close()
        conn.close()

    consumer.register_callback(import_feed_callback)
    shell = threading.Thread(target=another_python_shell)
    shell.start()
    consumer.wait(limit=1)  # for ever in the README
    shell.join(PATIENCE)
    assert imported.is_set()
    assert printed == [f"Got feed import message for: {EDITION}"]
    consumer.close()
    conn.close()


def test_readme_a_serializer_for_each_publisher(conn: BrokerConnection, feed: Consumer) -> None:
    publisher = Publisher(connection=conn, exchange="feed", routing_key="importer", serializer="yaml")
    publisher.send({"import_feed": EDITION})
    message = feed.fetch()
    assert message is not None
    assert message.content_type == "application/x-yaml"


def test_readme_a_serializer_for_each_call(conn: BrokerConnection) -> None:
    consumer = Consumer(connection=conn, queue="feed", exchange="feed", routing_key="importer", accept=["pickle"])
    publisher = Publisher(connection=conn, exchange="feed", routing_key="importer")
    publisher.send({"import_feed": EDITION}, serializer="pickle")
    publisher.close()
    message = consumer.fetch()
    assert message is not None
    assert message.payload == {"import_feed": EDITION}


def test_pickle_is_decoded_only_by_consumers_that_accept_it(feed: Consumer, publisher: Publisher) -> None:
    publisher.send({"import_feed": EDITION}, serializer="pickle")
    message = feed.fetch()
    assert message is not None
    with pytest.raises(ContentDisallowed):
        message.decode()
    assert not message.acknowledged


def test_readme_sending_raw_data_without_serialization(conn: BrokerConnection) -> None:
    picture = bytes(range(256))
    consumer = Consumer(connection=conn, queue="pictures", exchange="feed", routing_key="import_pictures")
    publisher = Publisher(connection=conn, exchange="feed", routing_key="import_pictures")
    publisher.send(picture, content_type="image/jpeg", content_encoding="binary")
    publisher.close()
    message = consumer.fetch()
    assert message is not None
    assert (message.content_type, message.content_encoding) == ("image/jpeg", "binary")
    assert message.body == picture


def test_readme_receiving_messages_without_a_callback(conn: BrokerConnection, publisher: Publisher) -> None:
    publisher.send({"import_feed": EDITION})
    found = []
    consumer = Consumer(connection=conn, queue="feed", exchange="feed", routing_key="importer")
    for _ in range(2):
        message = consumer.fetch()
        if message:
            message_data = message.payload
            message.ack()
            found.append(message_data)
        else:
            found.append("No messages waiting on the queue.")
    consumer.close()
    assert found == [{"import_feed": EDITION}, "No messages waiting on the queue."]


def test_readme_sub_classing_the_messaging_classes(conn: BrokerConnection) -> None:
    imported: list[str] = []

    class FeedPublisher(Publisher):
        exchange = "feed"
        routing_key = "importer"

        def import_feed(self, feed_url: str) -> None:
            return self.send({"action": "import_feed", "feed_url": feed_url})

    class FeedConsumer(Consumer):
        queue = "feed"
        exchange = "feed"
        routing_key = "importer"

        def receive(self, message_data: Any, message: Message) -> None:
            action = message_data["action"]
            if action == "import_feed":
                imported.append(message_data["feed_url"])
                message.ack()
            else:
                raise Exception(f"Unknown action: {action}")

    consumer = FeedConsumer(connection=conn)
    publisher = FeedPublisher(connection=conn)
    publisher.import_feed(EDITION)
    publisher.send({"action": "none"})
    publisher.close()
    consumer.wait(limit=1)
    assert imported == [EDITION]
    with pytest.raises(Exception, match="Unknown action: none"):
        consumer.wait(limit=1)


@pytest.mark.parametrize("settle", ["ack", "reject", "requeue"])
def test_a_fetched_message_is_settled_in_any_way(feed: Consumer, publisher: Publisher, name: str, settle: str) -> None:
    publisher.send([1])
    message = feed.fetch()
    assert message is not None
    getattr(message, settle)()
    assert message.acknowledged
    left = feed.fetch()
    assert (left is not None) == (settle == "requeue")


def test_fetch_can_have_the_message_received(feed: Consumer, publisher: Publisher) -> None:
    seen: list[Any] = []
    feed.register_callback(lambda message_data, message: seen.append(message_data))
    publisher.send(1)
    publisher.send(2)
    assert feed.fetch(no_ack=True) is not None
    assert feed.process_next() is not None
    assert (feed.process_next(), seen) == (None, [2])


def test_a_message_can_be_acknowledged_before_it_is_received(conn: BrokerConnection, publisher: Publisher) -> None:
    states: list[bool] = []
    with Consumer(conn, "feed", "feed", "importer", auto_ack=True) as consumer:
        consumer.register_callback(lambda message_data, message: states.append(message.acknowledged))
        for number in range(2):
            publisher.send(number)
        consumer.process_next()
        consumer.wait(limit=1)
    assert states == [True, True]


def test_each_step_of_iterconsume_yields_a_message_that_was_received(feed: Consumer, publisher: Publisher) -> None:
    seen: list[Any] = []
    feed.register_callback(lambda message_data, message: (seen.append(message_data), message.ack()))
    for number in range(3):
        publisher.send(number)
    steps = feed.iterconsume()
    assert [next(steps).payload, next(steps).payload, seen] == [0, 1, [0, 1]]
    steps.close()
    left = feed.fetch()
    assert left is not None
    assert left.payload == 2


def test_a_message_that_nobody_receives_is_an_error_and_stays(feed: Consumer, publisher: Publisher, name: str) -> None:
    publisher.send(1)
    with pytest.raises(NotImplementedError, match="register_callback"):
        feed.wait(limit=1)
    feed.close()
    feed.connection.release()
    assert counts(name, "feed").ready == 1


def test_the_queue_is_iterated_over_until_it_is_empty(feed: Consumer, publisher: Publisher) -> None:
    for number in range(3):
        publisher.send(number)
    first = [message.payload for message in feed.iterqueue(limit=2) if message]
    assert (first, [message.payload for message in feed.iterqueue() if message]) == ([0, 1], [2])


def test_an_infinite_iteration_yields_nothing_while_there_is_nothing(feed: Consumer, publisher: Publisher) -> None:
    messages = iter(feed)
    assert next(messages) is None
    publisher.send(1)
    message = next(messages)
    assert message is not None
    assert message.payload == 1


def test_all_or_some_messages_are_discarded(feed: Consumer, publisher: Publisher) -> None:
    for number in range(5):
        publisher.send(number)
    assert feed.discard_all(lambda message: message.payload % 2) == 2
    assert [message.payload for message in feed.iterqueue(limit=2) if message] == [0, 2]
    assert (feed.discard_all(), feed.discard_all()) == (1, 0)


def test_a_filter_that_fails_discards_nothing_more(feed: Consumer, publisher: Publisher) -> None:
    publisher.send("text")
    with pytest.raises(TypeError):
        feed.discard_all(lambda message: message.payload % 2 / 2 + "")
    assert feed.fetch() is not None


def test_what_was_fetched_and_not_settled_goes_back_on_close(conn: BrokerConnection, publisher: Publisher) -> None:
    publisher.send(1)
    with Consumer(conn, "feed", "feed", "importer") as consumer:
        assert consumer.fetch() is not None
        assert consumer.fetch() is None
    again = Consumer(conn, "feed", "feed", "importer").fetch()
    assert again is not None
    assert again.payload == 1


def test_arguments_and_attributes_describe_the_exchange_and_the_queue(conn: BrokerConnection) -> None:
    class Topical(Consumer):
        exchange_type = "topic"
        durable = False

    consumer = Topical(conn, "stock", "stocks", "*.stock.#", queue_arguments={"x-max-priority": 2})
    assert consumer.entity.exchange == Exchange("stocks", "topic", durable=False)
    assert (consumer.entity.durable, consumer.entity.arguments) == (False, {"x-max-priority": 2})
    publisher = Publisher(conn, "stocks", exchange_type="topic", durable=False, delivery_mode="transient")
    for key in ("usd.stock", "stock.nasdaq", "eur.stock.db"):
        publisher.send(key, routing_key=key)
    found = [message for message in consumer.iterqueue() if message]
    assert [message.payload for message in found] == ["usd.stock", "eur.stock.db"]
    assert {message.properties["delivery_mode"] for message in found} == {1}


def test_an_exclusive_consumers_queue_goes_with_its_connection(conn: BrokerConnection, name: str) -> None:
    consumer = Consumer(conn, "mine", "feed", "importer", exclusive=True)
    assert (consumer.entity.exclusive, consumer.entity.auto_delete) == (True, True)
    conn.close()
    assert MemoryStore(name).counts(["mine"]) == {}


def test_a_publisher_that_describes_the_exchange_differently_is_refused(conn: BrokerConnection, feed: Consumer) -> None:
    with pytest.raises(PreconditionFailed, match="exchange 'feed' exists and is different"):
        Publisher(conn, exchange="feed", exchange_type="fanout").send(1)


def test_a_consumer_goes_on_with_another_channel(conn: BrokerConnection, feed: Consumer, publisher: Publisher) -> None:
    conn.reconnect()
    feed.revive(conn.channel())
    publisher.send(1)
    message = feed.fetch()
    assert message is not None
    assert message.payload == 1


def test_a_set_receives_from_all_the_queues_of_a_configuration(conn: BrokerConnection) -> None:
    seen: list[Any] = []
    entries = {
        "feed": {"exchange": "feed", "routing_key": "importer"},
        "video": {"exchange": "media", "exchange_type": "topic", "binding_key": "video.#"},
    }
    with ConsumerSet(conn, from_dict=entries, callbacks=[lambda data, message: seen.append(data)], no_ack=True) as both:
        Publisher(conn, "feed", "importer").send("news")
        Publisher(conn, "media", "video.new", exchange_type="topic").send("film")
        assert [queue.name for queue in both.queues] == ["feed", "video"]
        assert len(list(both.iterconsume(limit=2))) == 2
    assert sorted(seen) == ["film", "news"]


def test_a_set_receives_for_the_consumers_it_was_given(
    conn: BrokerConnection, feed: Consumer, publisher: Publisher
) -> None:
    seen: list[Any] = []
    feed.register_callback(lambda data, message: (seen.append(data), message.ack()))
    with ConsumerSet(conn, consumers=[feed]) as both:
        both.add_consumer_from_dict("video", exchange="media", routing_key="video")
        publisher.send("news")
        both.wait(limit=1)
        assert seen == ["news"]
        both.register_callback(lambda data, message: seen.append(("set", data)))
        publisher.send("more")
        both.wait(limit=1)
    assert seen == ["news", ("set", "more")]


def test_a_set_discards_what_waits_in_all_its_queues(conn: BrokerConnection, publisher: Publisher) -> None:
    with ConsumerSet(conn) as both:
        both.add_consumer_from_dict("feed", exchange="feed", routing_key="importer")
        both.add_consumer_from_dict("copy", exchange="feed", routing_key="importer")
        publisher.send(1)
        assert (both.discard_all(), both.discard_all()) == (2, 0)


def test_an_entry_that_nobody_understands_is_refused(conn: BrokerConnection) -> None:
    with pytest.raises(ValueError, match="colour"):
        ConsumerSet(conn, from_dict={"feed": {"colour": "red"}})


def test_messaging_sends_to_and_receives_from_one_queue(conn: BrokerConnection) -> None:
    class Feed(Messaging):
        queue = "feed"
        exchange = "feed"
        routing_key = "importer.*"
        exchange_type = "topic"

    seen: list[Any] = []
    with Feed(conn) as feed:
        feed.send({"import_feed": EDITION}, routing_key="importer.rss")
        feed.send("more", routing_key="importer.atom")
        message = feed.fetch()
        assert message is not None
        assert message.payload == {"import_feed": EDITION}
        message.ack()
        feed.register_callback(lambda data, message: (seen.append(data), message.ack()))
        feed.fetch(enable_callbacks=True)
    assert seen == ["more"]
    assert conn.connected
