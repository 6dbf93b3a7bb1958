"""The transport over pika: what a broker of AMQP gives beyond the promises of every transport, and what it may do."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    InvalidURL,
    LeaseLost,
    MessageReturned,
    NotFound,
    NotSupported,
    OperationalError,
    PreconditionFailed,
    PublishUncertain,
)
from kombu.testing.case import in_threads
from kombu.transport.pika.connection import PikaConnection
from tests import rabbitmq, servers
from tests.background import eventually
from tests.memory import PATIENCE
from tests.proxy import Proxy

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture
def connection(host: str) -> Iterator[Connection]:
    with Connection(rabbitmq.url("pika", host)) as made:
        yield made


@pytest.fixture
def orders(connection: Connection) -> Queue:
    """A queue of the test's own, bound to its default channel."""
    queue = Queue(uuid4().hex)(connection)
    queue.declare()
    return queue


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(servers.RABBITMQ_PORT) as made:
        yield made


def publish_as_a_stranger(host: str, queue: str, body: bytes, properties: Mapping[str, Any]) -> None:
    import pika

    where = pika.ConnectionParameters(servers.HOST, servers.RABBITMQ_PORT, host)
    with pika.BlockingConnection(where) as connection:
        connection.channel().basic_publish("", queue, body, pika.BasicProperties(**properties))


def take(connection: Connection, queue: Queue, count: int = 1) -> list[Message]:
    received: list[Message] = []
    with connection.Consumer(queue, on_message=received.append):
        while len(received) < count:
            connection.drain_events(timeout=PATIENCE)
    return received


@pytest.mark.parametrize("scheme", ["pika", "syncpika"])
def test_both_names_are_of_one_transport(host: str, scheme: str) -> None:
    with Connection(rabbitmq.url(scheme, host)) as connection:
        connection.connect()
        assert connection.transport.driver_name == "pika"
        assert connection.transport.driver_version().startswith("1.")
        assert connection.supports_heartbeats
        assert not connection.is_evented


def test_heartbeats_go_out_while_a_handler_runs(host: str) -> None:
    """RabbitMQ closes a connection from which it has not heard for two intervals."""
    runs = threading.Event()

    def handle(message: Message) -> None:
        runs.set()
        time.sleep(3.2)
        message.ack()

    with Connection(rabbitmq.url("pika", host), heartbeat=1) as connection:
        queue = Queue("slow")(connection)
        queue.declare()
        connection.Producer().publish("slow", routing_key=queue.name)
        with connection.Consumer(queue, on_message=handle):
            connection.drain_events(timeout=PATIENCE)
        assert runs.is_set()
        assert queue.get() is None
        assert connection.connected


def test_an_idle_connection_notices_that_the_broker_is_silent(host: str, proxy: Proxy) -> None:
    with Connection(rabbitmq.url("pika", host, proxy.port, "?heartbeat=1")) as connection:
        queue = Queue("", exclusive=True)(connection)
        queue.declare()
        with pytest.raises(ConnectionError), connection.Consumer(queue, on_message=print):
            proxy.fall_silent()
            connection.drain_events(timeout=PATIENCE)
        proxy.fall_silent(False)


def test_a_call_to_a_silent_broker_ends_in_time(host: str, proxy: Proxy) -> None:
    options = {"operation_timeout": 0.3, "confirm_timeout": 0.3}
    with Connection(rabbitmq.url("pika", host, proxy.port), transport_options=options) as connection:
        producer = connection.Producer(routing_key="nowhere")
        producer.publish("one")
        proxy.fall_silent()
        with pytest.raises(TimeoutError, match="may be stored or not"):
            producer.publish("two")
        with pytest.raises(ConnectionError, match="did not answer"):
            Queue("anything")(connection).declare()
        proxy.fall_silent(False)


def test_many_threads_may_use_one_connection(connection: Connection, orders: Queue) -> None:
    producer = connection.Producer(routing_key=orders.name)
    producer.publish("first")

    def publish() -> None:
        for number in range(50):
            producer.publish(number)

    in_threads([publish] * 4, PATIENCE * 3)
    assert orders.queue_declare(passive=True).message_count == 201


def test_a_batch_for_an_exchange_that_does_not_exist_leaves_nothing(connection: Connection, orders: Queue) -> None:
    producer = connection.Producer()
    with producer.batch() as batch:
        batch.publish(1, routing_key=orders.name)
        batch.publish(2, exchange="amq.topic", routing_key="nobody")
    with pytest.raises(NotFound, match="unknown"), producer.batch() as batch:
        batch.publish(3, routing_key=orders.name)
        batch.publish(4, exchange="unknown")
    assert [message.payload for message in take(connection, orders)] == [1]
    assert orders.get() is None


def test_a_large_batch_goes_to_an_exchange_that_was_never_used_before(host: str, orders: Queue) -> None:
    orders.bind_to("amq.fanout")
    with Connection(rabbitmq.url("pika", host)) as fresh:
        fresh.Producer().publish_many(range(3000), exchange="amq.fanout", routing_key="")
    orders.unbind_from("amq.fanout")
    assert orders.queue_declare(passive=True).message_count == 3000


def test_of_a_batch_the_error_says_which_were_returned(connection: Connection, orders: Queue) -> None:
    with pytest.raises(MessageReturned, match="nowhere") as refusal, connection.Producer().batch() as batch:
        for key in (orders.name, "nowhere", orders.name):
            batch.publish(key, routing_key=key, mandatory=True)
    assert refusal.value.not_stored == (1,)
    assert orders.queue_declare(passive=True).message_count == 2


def test_an_error_while_others_publish_is_only_its_callers(connection: Connection, orders: Queue) -> None:
    stored, refused = [], []

    def good() -> None:
        producer = connection.Producer(routing_key=orders.name)
        for number in range(30):
            producer.publish(number)
            stored.append(number)

    def bad() -> None:
        for _ in range(10):
            with pytest.raises(NotFound):
                connection.Producer().publish("x", exchange="unknown")
            refused.append(True)

    in_threads([good, good, bad], PATIENCE * 3)
    assert (len(stored), len(refused)) == (60, 10)
    assert orders.queue_declare(passive=True).message_count == 60


def test_acknowledging_several_does_not_acknowledge_what_was_rejected(connection: Connection) -> None:
    graves = Queue(uuid4().hex)(connection)
    graves.declare()
    to_graves = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": graves.name}
    queue = Queue(uuid4().hex, queue_arguments=to_graves)(connection)
    queue.declare()
    connection.Producer().publish_many([1, 2, 3], routing_key=queue.name)
    channel = connection.channel()
    first, second, third = (queue(channel).get() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    second.reject()
    third.ack(multiple=True)
    assert first.payload == 1
    assert [message.payload for message in take(connection, graves)] == [2]
    channel.close()
    assert queue.get() is None


def test_a_quorum_queue_counts_deliveries(connection: Connection) -> None:
    queue = Queue("quorum", queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 2})(connection)
    queue.declare()
    connection.Producer().publish("poison", routing_key="quorum")
    counts = []
    for _ in range(3):
        (message,) = take(connection, queue)
        counts.append(message.delivery_info["delivery_count"])
        message.requeue()
    assert counts == [1, 2, 3]
    eventually(lambda: queue.queue_declare(passive=True).message_count == 0)
    queue.delete()


def test_a_stream_is_read_from_its_beginning_again_and_again(connection: Connection) -> None:
    queue = Queue("stream", queue_arguments={"x-queue-type": "stream"}, consumer_arguments={"x-stream-offset": "first"})
    bound = queue(connection)
    bound.declare()
    connection.Producer().publish_many(["one", "two"], routing_key="stream")
    for _ in range(2):
        messages = take(connection, bound, 2)
        assert [message.payload for message in messages] == ["one", "two"]
        messages[-1].ack(multiple=True)
    bound.delete()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"x-delivery-limit": 3}, "x-delivery-limit"),
        ({"x-queue-type": "quorum", "x-max-priority": 3}, "x-max-priority"),
    ],
)
def test_an_argument_that_the_kind_of_queue_does_not_keep_is_refused(
    connection: Connection, arguments: dict[str, object], named: str
) -> None:
    with pytest.raises(NotSupported, match=named):
        Queue("refused", queue_arguments=arguments)(connection).declare()


def test_a_consumer_goes_on_when_the_broker_has_ended_its_channel(
    connection: Connection, orders: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """As it does when a message is not acknowledged for half an hour."""
    received: list[Message] = []
    connection.Producer().publish("one", routing_key=orders.name)
    with connection.Consumer(orders, on_message=received.append):
        connection.drain_events(timeout=PATIENCE)
        channel: Any = received[0].channel
        with caplog.at_level(logging.WARNING, "kombu"):
            channel.connection.soon(lambda: _offend(channel))
            connection.drain_events(timeout=PATIENCE)
        assert "ended the channel" in caplog.text
        with pytest.raises(LeaseLost):
            received[0].ack()
        assert received[1].delivery_info["redelivered"]
        received[1].ack()
    assert orders.get() is None


def _offend(channel: Any) -> None:
    channel._line.channel.basic_ack(4711)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"content_type": "application/json", "content_encoding": "no-such-encoding"},
        {"headers": {"big": 2**40, "list": [1, None], "when": None}, "content_type": "text/plain"},
        {"content_type": "\x00", "headers": {"compression": "none such"}},
    ],
)
def test_messages_of_strangers_are_handed_over(
    connection: Connection, orders: Queue, host: str, properties: dict[str, Any]
) -> None:
    connection.Producer().publish("ours", routing_key=orders.name)
    publish_as_a_stranger(host, orders.name, b"\xff\x00junk", properties)
    ours, theirs = take(connection, orders, 2)
    assert (ours.payload, theirs.body) == ("ours", b"\xff\x00junk")
    theirs.reject()


def test_a_wrong_password_is_refused_and_never_shown(host: str) -> None:
    wrong = rabbitmq.url("pika", host).replace("guest@", "s3cret@")
    with pytest.raises(AccessRefused, match=r"'guest'.*wrong user or password") as refusal:
        Connection(wrong).connect()
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        (rabbitmq.url("pika", "no-such-host"), OperationalError, "no virtual host 'no-such-host'.*Create it"),
        ("pika://127.0.0.1:1//", OperationalError, "refused"),
        ("pika://no-such-host.invalid//?connect_timeout=2", OperationalError, "no-such-host.invalid"),
        ("pika://127.0.0.1//?prefetch=many", InvalidURL, "prefetch"),
        ("pika://127.0.0.1//?nonsense=1", InvalidURL, "nonsense"),
        ("pika://127.0.0.1//?login_method=KERBEROS", InvalidURL, "KERBEROS.*PLAIN, AMQPLAIN, EXTERNAL"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Connection(url).connect()


def test_a_server_that_is_no_broker_does_not_keep_anybody_waiting() -> None:
    with socket.create_server((servers.HOST, 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(OperationalError, match=rf"127\.0\.0\.1:{port}"):
            Connection(f"pika://127.0.0.1:{port}//", connect_timeout=0.3).connect()


def test_amqplain_is_spoken(host: str) -> None:
    with Connection(rabbitmq.url("pika", host), login_method="AMQPLAIN") as connection:
        connection.connect()
    with pytest.raises(AccessRefused):
        Connection(rabbitmq.url("pika", host).replace("guest@", "wrong@"), login_method="AMQPLAIN").connect()


@pytest.mark.parametrize("pause", [0.0, 0.2])
def test_a_publish_that_was_cut_off_is_uncertain_and_the_next_one_connects_anew(
    host: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """pika tells the channels before the connection: whoever hears it between the two must not go on with what is
    lost."""
    closed = PikaConnection._on_closed

    def a_moment_later(connection: PikaConnection, error: BaseException) -> None:
        threading.Event().wait(pause)
        closed(connection, error)

    monkeypatch.setattr(PikaConnection, "_on_closed", a_moment_later)
    with Connection(rabbitmq.url("pika", host, proxy.port)) as connection:
        producer = connection.Producer(routing_key="nowhere")
        producer.publish("one")
        proxy.cut_at(b"two", "after")
        with pytest.raises(PublishUncertain):
            producer.publish("two")
        producer.publish("three")
    assert proxy.opened == 2


def test_a_connection_that_was_lost_says_so_where_it_is_drained(host: str, proxy: Proxy) -> None:
    with Connection(rabbitmq.url("pika", host, proxy.port)) as connection:
        queue = Queue("", exclusive=True)(connection)
        queue.declare()
        consumer = connection.Consumer(queue, on_message=print)
        consumer.consume()
        proxy.cut()
        with pytest.raises(ConnectionError):
            connection.drain_events(timeout=PATIENCE)


def test_a_message_that_is_too_large_in_its_headers_is_refused(connection: Connection, orders: Queue) -> None:
    with pytest.raises(PreconditionFailed, match="headers"):
        connection.Producer().publish(1, routing_key=orders.name, headers={"long": "x" * 200_000})
    connection.Producer().publish(2, routing_key=orders.name)
    assert take(connection, orders)[0].payload == 2


def test_a_closed_connection_leaves_no_thread(host: str) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with Connection(rabbitmq.url("pika", host)) as connection:
            connection.connect()
    with pytest.raises(AccessRefused):
        Connection(rabbitmq.url("pika", host).replace("guest@", "wrong@")).connect()
    eventually(lambda: set(threading.enumerate()) <= before)


def test_a_delayed_message_finds_its_stairs_built_again(connection: Connection, orders: Queue) -> None:
    exchange = Exchange("amq.topic", "topic", no_declare=True)
    orders.bind_to("amq.topic", "later")
    producer = connection.Producer(exchange=exchange, routing_key="later")
    producer.publish("one", delay=0.05)
    for level in range(6):
        Queue(f"kombu.delay.{level}")(connection).delete()
        Exchange(f"kombu.delay.{level}", "headers")(connection).delete()
    producer.publish("two", delay=0.05)
    (message,) = take(connection, orders)
    assert message.payload in ("one", "two")


def test_a_fraction_in_a_header_stays_one(connection: Connection, orders: Queue) -> None:
    """Which pika by itself cuts to a whole number."""
    headers: dict[str, Any] = {"half": 0.5, "table": {"third": 1 / 3}}
    connection.Producer().publish(1, routing_key=orders.name, headers=headers)
    assert take(connection, orders)[0].headers == headers
