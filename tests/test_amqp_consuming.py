"""What consuming over AMQP promises: heartbeats, interruptions, foreign messages, channels that the broker closes."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import amqp
import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import ConnectionError, LeaseLost, NotFound, NotSupported, PreconditionFailed
from kombu.transport.amqp.channel import Channel
from kombu.transport.amqp.connection import AMQPConnection
from kombu.transport.amqp.frames import HEARTBEAT, acks
from kombu.transport.native.properties import FOREIGN
from tests import servers
from tests.background import LONG, eventually, running
from tests.proxy import Proxy
from tests.rabbitmq import url

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture
def connection(host: str) -> Iterator[Connection]:
    with Connection(url(virtual_host=host)) as made:
        yield made


@pytest.fixture
def queue(connection: Connection) -> Queue:
    queue = Queue(uuid4().hex)(connection)
    queue.declare()
    return queue


def publish(connection: Connection, queue: Queue, *bodies: object) -> None:
    connection.Producer().publish_many(bodies, routing_key=queue.name)


def drained(connection: Connection, received: list[Message], count: int) -> list[object]:
    while len(received) < count:
        connection.drain_events(timeout=LONG)
    return [message.payload for message in received]


def close_by_mistake(channel: Channel) -> None:
    """The broker closes a channel that acknowledges what it was never sent."""
    with channel.connection.link.lock:
        channel.connection.link.wire.send(acks(channel.consuming.number, 0, (1_000_000,)), LONG * 1e9)


def test_heartbeats_are_sent_while_a_handler_runs(connection: Connection, queue: Queue, host: str) -> None:
    """The proxy cuts the line at the third one, which tells the handler that it came."""
    publish(connection, queue, 1)
    seen: list[bool] = []
    with Proxy(servers.RABBITMQ_PORT) as proxy:
        line = Connection(url(virtual_host=host, port=proxy.port), heartbeat=1)

        def handle(_: Message) -> None:
            proxy.cut_at(HEARTBEAT, "after", spare=2)
            seen.append(proxy.struck.wait(LONG))

        line.Consumer(Queue(queue.name), on_message=handle).consume()
        line.drain_events(timeout=LONG)
        assert seen == [True]
        line.collect()


def test_a_broker_that_is_silent_is_given_up_after_two_heartbeats_while_a_handler_runs(
    connection: Connection, queue: Queue, host: str
) -> None:
    publish(connection, queue, 1)
    with Proxy(servers.RABBITMQ_PORT) as proxy:
        line = Connection(url(virtual_host=host, port=proxy.port), heartbeat=1)

        def handle(message: Message) -> None:
            proxy.fall_silent()
            eventually(lambda: not line.connected)
            with pytest.raises(ConnectionError, match="silent for 2 s"):
                message.ack()

        line.Consumer(Queue(queue.name), on_message=handle).consume()
        line.drain_events(timeout=LONG)
        line.collect()


def test_an_interruption_ends_a_drain_of_another_thread(connection: Connection, queue: Queue) -> None:
    ended = threading.Event()

    def drain() -> None:
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=LONG)
        ended.set()

    connection.Consumer(queue, on_message=print).consume()
    with running(drain, connection.connection.interrupt, []):
        connection.connection.interrupt()
        assert ended.wait(LONG)


def test_others_publish_and_declare_while_one_thread_drains(connection: Connection, queue: Queue) -> None:
    received: list[Message] = []
    errors: list[BaseException] = []
    stopped = threading.Event()

    def drain() -> None:
        while not stopped.is_set():
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                continue

    def stop() -> None:
        stopped.set()
        connection.connection.interrupt()

    connection.Consumer(queue, on_message=received.append, prefetch_count=1000).consume()
    with running(drain, stop, errors):
        publishers = [
            threading.Thread(target=lambda: [publish(connection, queue, number) for number in range(50)])
            for _ in range(3)
        ]
        for each in publishers:
            each.start()
        for _ in range(20):
            queue(connection.channel()).queue_declare(passive=True)
        for each in publishers:
            each.join(LONG)
        eventually(lambda: len(received) == 150, errors)
    assert errors == []


def test_a_message_without_properties_or_with_junk_in_it_is_handed_on(
    connection: Connection, queue: Queue, host: str
) -> None:
    received: list[Message] = []
    with closing(amqp.Connection(f"{servers.HOST}:{servers.RABBITMQ_PORT}", virtual_host=host)) as foreign:
        foreign.connect()
        channel = foreign.channel()
        for message in (
            amqp.Message(b"\xff\x00 junk"),
            amqp.Message(b"{not json", content_type="application/json", content_encoding="utf-8"),
            amqp.Message("größe".encode("latin-1"), content_type="text/plain", content_encoding="latin-1"),
            amqp.Message(b"1", content_type="application/json", application_headers={"x-death": "no list"}),
            amqp.Message(b"2", content_type="application/json", application_headers={"kombu-to-queue": 7}),
        ):
            channel.basic_publish(message, routing_key=queue.name)
        channel.queue_declare(queue.name, passive=True)
    with connection.Consumer(queue, on_message=received.append):
        while len(received) < 5:
            connection.drain_events(timeout=LONG)
    assert [message.body for message in received][:2] == [b"\xff\x00 junk", b"{not json"]
    assert [message.payload for message in received[2:]] == ["größe", 1, 2]
    assert [message.delivery_info["routing_key"] for message in received] == [queue.name] * 5


def test_properties_that_cannot_be_read_are_kept_as_a_header(connection: Connection) -> None:
    """No client sends such; the frame is made by hand."""
    from kombu.transport.amqp.received import Received

    message = Received(None, None, 1, "orders", False, False, b"\x00\x06orders", b"\xff\xff\xff", b"body")
    assert message.body == b"body"
    assert message.headers == {FOREIGN: "\xff\xff\xff"}
    assert message.delivery_info["routing_key"] == "orders"


def test_a_consumer_goes_on_when_the_broker_closes_its_channel(connection: Connection, queue: Queue) -> None:
    received: list[Message] = []
    publish(connection, queue, 1)
    channel = connection.channel()
    assert isinstance(channel, Channel)
    channel.basic_qos(prefetch_count=5)
    channel.basic_consume(queue.name, callback=received.append)
    drained(connection, received, 1)
    close_by_mistake(channel)
    assert drained(connection, received, 2) == [1, 1]
    first, again = received
    assert again.delivery_info["redelivered"]
    assert again.delivery_tag != first.delivery_tag
    with pytest.raises(LeaseLost, match="another consumer's by now"):
        first.ack()
    again.ack()
    publish(connection, queue, 2)
    assert drained(connection, received, 3) == [1, 1, 2]


def test_a_queue_that_goes_with_its_channel_is_reported(connection: Connection, queue: Queue, host: str) -> None:
    told: list[str] = []
    channel = connection.channel()
    assert isinstance(channel, Channel)
    tag = channel.basic_consume(queue.name, callback=print, on_cancel=told.append)
    with Connection(url(virtual_host=host)) as other:
        queue(other).delete()
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.5)
    assert told == [tag]
    assert not connection.connection.consuming


def test_a_queue_that_is_deleted_under_a_consumer_without_a_callback_is_an_error(
    connection: Connection, queue: Queue, host: str
) -> None:
    connection.channel().basic_consume(queue.name, callback=print)
    with Connection(url(virtual_host=host)) as other:
        queue(other).delete()
    with pytest.raises(NotFound, match=queue.name):
        connection.drain_events(timeout=LONG)


def test_acknowledgements_go_out_by_themselves_while_nobody_drains(connection: Connection, queue: Queue) -> None:
    received: list[Message] = []
    publish(connection, queue, 1, 2)
    connection.Consumer(queue, on_message=received.append, prefetch_count=2).consume()
    drained(connection, received, 2)
    received[0].ack()
    publish(connection, queue, 3)
    with Connection(connection.as_uri(include_password=True)) as other:
        eventually(lambda: queue(other).queue_declare(passive=True).message_count == 0)
    assert drained(connection, received, 3) == [1, 2, 3]


def test_messages_may_be_settled_in_any_order_and_in_any_thread(connection: Connection, queue: Queue) -> None:
    received: list[Message] = []
    publish(connection, queue, *range(20))
    connection.Consumer(queue, on_message=received.append, prefetch_count=20).consume()
    drained(connection, received, 20)
    settling = [threading.Thread(target=message.ack) for message in received[::-2]]
    for each in settling:
        each.start()
    for each in settling:
        each.join(LONG)
    connection.release()
    left: list[object] = []
    while (message := queue(connection).get(no_ack=True)) is not None:
        left.append(message.payload)
    assert left == [message.payload for message in received[::2]]


def test_what_another_thread_settles_brings_the_next_message_at_once(host: str) -> None:
    """Nothing waits for ``settle_delay`` while the connection waits for messages."""
    received: list[Message] = []
    stopped = threading.Event()
    with Connection(url(virtual_host=host), transport_options={"settle_delay": LONG}) as connection:
        queue = Queue(uuid4().hex)(connection)
        queue.declare()
        publish(connection, queue, *range(5))
        connection.Consumer(queue, on_message=received.append, prefetch_count=1).consume()

        def drain() -> None:
            while not stopped.is_set():
                try:
                    connection.drain_events(timeout=LONG)
                except TimeoutError:
                    continue

        def stop() -> None:
            stopped.set()
            connection.connection.interrupt()

        errors: list[BaseException] = []
        with running(drain, stop, errors):
            for count in range(1, 6):
                eventually(lambda count=count: len(received) == count, errors)
                received[-1].ack()
        assert [message.payload for message in received] == [0, 1, 2, 3, 4]


def test_an_acknowledgement_of_what_was_never_delivered_is_refused_here(connection: Connection) -> None:
    with pytest.raises(PreconditionFailed, match="unknown delivery tag 7"):
        connection.default_channel.basic_ack(7)


def test_what_was_fetched_ahead_without_acknowledgement_is_not_lost(connection: Connection, queue: Queue) -> None:
    received: list[Message] = []
    publish(connection, queue, 1, 2, 3)
    connection.Consumer(queue, on_message=received.append, no_ack=True).consume()
    assert drained(connection, received, 1) == [1]
    connection.release()
    connection.Consumer(queue, on_message=received.append, no_ack=True).consume()
    assert drained(connection, received, 3) == [1, 2, 3]


def test_what_is_not_of_this_broker_is_refused_by_name(connection: Connection, queue: Queue) -> None:
    channel = connection.default_channel
    with pytest.raises(NotSupported, match="'amqp'"):
        channel.basic_recover(requeue=False)
    publish(connection, queue, 1)
    message = queue.get()
    assert message is not None
    with pytest.raises(NotSupported, match=r"within.*'amqp'"):
        message.ack(within=object())
    with pytest.raises(NotSupported, match=r"within.*'amqp'"):
        connection.Producer().publish(1, routing_key=queue.name, within=object())
    message.ack()


def test_an_exclusive_queue_without_a_name_is_declared_again_on_the_next_connection(connection: Connection) -> None:
    """A name that the broker makes up may not be declared by anybody."""
    queue = Queue("", exclusive=True)(connection)
    queue.declare()
    name = queue.name
    connection.release()
    queue(connection).declare()
    assert queue.name == name


def test_a_connection_that_nobody_holds_any_more_is_closed(host: str) -> None:
    forgotten = Connection(url(virtual_host=host), heartbeat=1)
    forgotten.default_channel.basic_get(Queue(uuid4().hex)(forgotten).declare())
    inner = forgotten.connection
    assert isinstance(inner, AMQPConnection)
    wire = inner.link.wire
    del forgotten, inner
    gc.collect()
    eventually(lambda: wire.lost is not None)
