"""What publishing over AMQP promises: confirms, what comes back, what is carried, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from kombu import Connection, Exchange, Queue, aio
from kombu.exceptions import (
    EncodeError,
    MessageReturned,
    NotFound,
    NotSupported,
    PreconditionFailed,
    PublishRefused,
)
from kombu.transport.amqp.connection import AMQPConnection
from kombu.transport.native.delay import DUE, PREFIX
from tests.rabbitmq import url

pytestmark = pytest.mark.server("rabbitmq")

LONG = 30.0


@pytest.fixture
def connection(host: str) -> Iterator[Connection]:
    with Connection(url(virtual_host=host)) as made:
        yield made


@pytest.fixture
def queue(connection: Connection) -> Queue:
    queue = Queue(uuid4().hex, exclusive=True)(connection)
    queue.declare()
    return queue


def bodies(queue: Queue) -> list[object]:
    found = []
    while (message := queue.get(no_ack=True)) is not None:
        found.append(message.payload)
    return found


def test_headers_of_every_type_come_out_as_what_they_were(connection: Connection, queue: Queue) -> None:
    headers = {
        "bytes": b"\x00\xff",
        "no text": b"text",
        "decimal": Decimal("-1.50"),
        "small": Decimal("1E-200"),
        "long": Decimal("12345678901234567890.12345"),
        "none": Decimal("NaN").copy_abs().is_nan(),
        "moment": datetime(2026, 11, 26, 12, 0, tzinfo=UTC),
        "instant": datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC),
        "elsewhere": datetime(2026, 11, 26, 12, 0, tzinfo=timezone(timedelta(hours=2))),
        "naive": datetime(1912, 6, 23),  # noqa: DTZ001 - that is the point
        "day": date(2026, 11, 26),
        "while": timedelta(days=1, microseconds=1),
        "id": UUID(int=1),
        "set": {1, 2},
        "least": -(2**63),
        "nested": [{"deep": [b"\x01", Decimal(1)]}, ()],
        "ours": {"__type__": "uuid", "__value__": "no uuid"},
    }
    connection.Producer().publish(1, routing_key=queue.name, headers=headers)
    message = queue.get(no_ack=True)
    assert message is not None
    assert message.headers == {**headers, "nested": [{"deep": [b"\x01", Decimal(1)]}, []]}
    assert str(message.headers["decimal"]) == "-1.50"


@pytest.mark.parametrize(
    "headers",
    [{"big": 2**63}, {"thing": object()}, {"k" * 256: 1}, {"half": "\ud800"}],
    ids=["65 bits", "an object", "a long name", "half a surrogate pair"],
)
def test_headers_that_amqp_cannot_carry_are_refused_by_name(
    connection: Connection, queue: Queue, headers: dict[str, object]
) -> None:
    with pytest.raises(EncodeError, match=next(iter(headers))[:10]):
        connection.Producer().publish(1, routing_key=queue.name, headers=headers)
    assert bodies(queue) == []


def test_headers_that_contain_themselves_are_refused(connection: Connection, queue: Queue) -> None:
    headers: dict[str, object] = {}
    headers["self"] = headers
    with pytest.raises(EncodeError, match="self"):
        connection.Producer().publish(1, routing_key=queue.name, headers=headers)


def test_headers_beyond_a_frame_are_refused_and_the_connection_goes_on(connection: Connection, queue: Queue) -> None:
    with pytest.raises(PreconditionFailed, match=r"properties and headers of \d+ bytes"):
        connection.Producer().publish(1, routing_key=queue.name, headers={"much": "x" * 200_000})
    connection.Producer().publish(2, routing_key=queue.name)
    assert bodies(queue) == [2]


def test_what_comes_back_of_a_batch_is_told_and_the_others_are_stored_once(
    connection: Connection, queue: Queue
) -> None:
    told: list[tuple[str, object]] = []
    producer = connection.Producer(
        on_return=lambda error, publication: told.append((str(error), publication.content.body))
    )
    nowhere = uuid4().hex
    with producer.batch() as batch:
        for number, key in enumerate((queue.name, nowhere, queue.name, nowhere)):
            batch.publish(number, routing_key=key, mandatory=True)
    assert [body for _, body in told] == [b"1", b"3"]
    assert all(nowhere in text for text, _ in told)
    assert bodies(queue) == [0, 2]


def test_without_a_callback_the_error_says_which_were_not_stored(connection: Connection, queue: Queue) -> None:
    with pytest.raises(MessageReturned, match="nowhere") as returned, connection.Producer().batch() as batch:
        batch.publish(1, routing_key=queue.name, mandatory=True)
        batch.publish(2, routing_key="nowhere", mandatory=True)
    assert returned.value.not_stored == (1,)
    assert bodies(queue) == [1]


def test_coroutines_whose_messages_went_together_each_get_their_own_answer(connection: Connection, host: str) -> None:
    queue = Queue(uuid4().hex)(connection)
    queue.declare()
    keys = [queue.name, "nowhere", queue.name, "elsewhere"]

    async def publish() -> list[BaseException | None]:
        async with aio.Connection(url(virtual_host=host)) as together:
            producer = together.Producer()
            return await asyncio.gather(
                *(producer.publish(key, routing_key=key, mandatory=True) for key in keys), return_exceptions=True
            )

    stored, nowhere, also_stored, elsewhere = asyncio.run(publish())
    assert (stored, also_stored) == (None, None)
    for error, name in ((nowhere, "nowhere"), (elsewhere, "elsewhere")):
        assert isinstance(error, MessageReturned)
        assert name in str(error)
    assert bodies(queue) == [queue.name, queue.name]


def test_of_a_batch_for_a_full_queue_what_was_refused_is_told(connection: Connection) -> None:
    full = Queue(uuid4().hex, max_length=2, queue_arguments={"x-overflow": "reject-publish"}, exclusive=True)(
        connection
    )
    full.declare()
    with pytest.raises(PublishRefused, match=full.name) as refused:
        connection.Producer().publish_many([1, 2, 3, 4], routing_key=full.name)
    assert refused.value.not_stored == (2, 3)
    assert bodies(full) == [1, 2]


def test_a_batch_for_an_exchange_that_does_not_exist_stores_nothing(connection: Connection, queue: Queue) -> None:
    with pytest.raises(NotFound, match="nowhere"), connection.Producer().batch() as batch:
        batch.publish(1, routing_key=queue.name)
        batch.publish(2, exchange="nowhere", routing_key="key")
    assert bodies(queue) == []


def test_an_exchange_that_somebody_deleted_is_missed_by_the_next_message(connection: Connection, host: str) -> None:
    shop = Exchange(uuid4().hex, "fanout")
    producer = connection.Producer(exchange=shop)
    producer.publish(1)
    with Connection(url(virtual_host=host)) as other:
        shop(other).delete()
    with pytest.raises(NotFound, match=shop.name):
        producer.publish(2)


def test_an_error_of_a_publish_disturbs_no_consumer_of_the_same_channel(connection: Connection, queue: Queue) -> None:
    received: list[object] = []
    channel = connection.default_channel
    channel.basic_consume(queue.name, callback=lambda message: received.append(message.payload))
    for refused in (
        lambda: channel.queue_declare("missing", passive=True),
        lambda: channel.basic_get("missing"),
        lambda: channel.basic_consume("missing", callback=print),
        lambda: connection.Producer(channel).publish(1, exchange="missing"),
    ):
        with pytest.raises(NotFound):
            refused()
    connection.Producer(channel).publish("still there", routing_key=queue.name)
    connection.drain_events(timeout=LONG)
    assert received == ["still there"]


def test_a_delay_is_precise_and_the_message_shows_nothing_of_its_way(connection: Connection, host: str) -> None:
    shop = Exchange(uuid4().hex, "topic")
    queue = Queue(uuid4().hex, shop, "order.#")(connection)
    queue.declare()
    producer = connection.Producer(exchange=shop)
    for delay in (0.3, 0.1, 0.2):
        producer.publish(delay, routing_key="order.größe", delay=delay, headers={"kept": 1}, message_id="m-1")
    received = []
    with connection.Consumer(queue, on_message=received.append):
        while len(received) < 3:
            connection.drain_events(timeout=LONG)
    assert [message.payload for message in received] == [0.1, 0.2, 0.3]
    message = received[0]
    assert (message.headers, message.properties["message_id"]) == ({"kept": 1}, "m-1")
    info = message.delivery_info
    assert (info["exchange"], info["routing_key"], info["redelivered"]) == (shop.name, "order.größe", False)
    for each in received:
        each.ack()


def test_a_delayed_message_for_a_queue_that_does_not_exist_comes_back_if_it_is_mandatory(
    connection: Connection,
) -> None:
    connection.Producer().publish(1, routing_key="nowhere", delay=60.0)
    with pytest.raises(MessageReturned, match="nowhere"):
        connection.Producer().publish(1, routing_key="nowhere", delay=60.0, mandatory=True)
    with pytest.raises(NotFound, match="nowhere"):
        connection.Producer().publish(1, exchange="nowhere", routing_key="key", delay=60.0)


def test_of_messages_for_now_and_for_later_those_that_came_back_are_told_by_their_place(
    connection: Connection, queue: Queue
) -> None:
    producer = connection.Producer()
    with pytest.raises(MessageReturned) as returned, producer.batch() as batch:
        batch.publish(0, routing_key="nowhere", mandatory=True)
        batch.publish(1, routing_key=queue.name, delay=0.02)
        batch.publish(2, routing_key=queue.name, mandatory=True)
        batch.publish(3, routing_key="elsewhere", mandatory=True)
    assert returned.value.not_stored == (0, 3)
    with pytest.raises(MessageReturned) as returned, producer.batch() as batch:
        batch.publish(0, routing_key=queue.name)
        batch.publish(1, routing_key="nowhere", delay=0.02, mandatory=True)
        batch.publish(2, routing_key=queue.name, delay=0.02)
    assert returned.value.not_stored == (0, 1)
    received: list[object] = []
    with connection.Consumer(queue, on_message=lambda message: received.append(message.payload)):
        while len(received) < 3:
            connection.drain_events(timeout=LONG)
    assert sorted(received) == [1, 2, 2]  # type: ignore[type-var]


@pytest.mark.parametrize("options", [{"expiration": 1.0}, {"mandatory": True, "exchange": "amq.direct"}])
def test_what_cannot_be_kept_of_a_delayed_message_is_refused(
    connection: Connection, options: dict[str, object]
) -> None:
    with pytest.raises(NotSupported, match=f"'amqp'.*{next(iter(options))}"):
        connection.Producer().publish(1, routing_key="key", delay=60.0, **options)  # type: ignore[arg-type]


def test_a_delay_of_more_than_the_broker_keeps_is_refused(connection: Connection, queue: Queue) -> None:
    connection.Producer().publish(1, routing_key=queue.name, delay=timedelta(days=49))
    with pytest.raises(NotSupported, match=r"delay=.*'amqp'.*50 days"):
        connection.Producer().publish(1, routing_key=queue.name, delay=timedelta(days=50))


def test_stairs_that_somebody_took_away_are_built_again(connection: Connection, queue: Queue, host: str) -> None:
    producer = connection.Producer(routing_key=queue.name)
    producer.publish(1, delay=0.05)
    with Connection(url(virtual_host=host)) as other:
        channel = other.default_channel
        channel.exchange_delete(DUE)
        for level in range(6):
            channel.queue_delete(f"{PREFIX}{level}")
    producer.publish(2, delay=0.04)
    received: list[object] = []
    with connection.Consumer(queue, on_message=lambda message: received.append(message.payload)):
        while 2 not in received:
            connection.drain_events(timeout=LONG)


def test_a_message_requeued_for_later_keeps_its_way_and_its_properties(connection: Connection, host: str) -> None:
    shop = Exchange(uuid4().hex, "topic")
    queue = Queue(uuid4().hex, shop, "order.#")(connection)
    queue.declare()
    connection.Producer(exchange=shop).publish(
        {"id": 1}, routing_key="order.new", headers={"kept": 1}, correlation_id="c-1"
    )
    for count in (1, 2, 3):
        received = []
        with connection.Consumer(queue, on_message=received.append):
            connection.drain_events(timeout=LONG)
        (message,) = received
        info = message.delivery_info
        assert message.payload == {"id": 1}
        assert (message.headers, message.properties["correlation_id"]) == ({"kept": 1}, "c-1")
        assert (info["exchange"], info["routing_key"]) == (shop.name, "order.new")
        assert (info["redelivered"], info["delivery_count"]) == (count > 1, count)
        message.requeue(delay=0.02)
    assert isinstance(connection.connection, AMQPConnection)


def test_quorum_queues_and_streams_are_declared_and_used(connection: Connection) -> None:
    quorum = Queue(uuid4().hex, queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 2})(connection)
    quorum.declare()
    connection.Producer().publish("quorum", routing_key=quorum.name)
    counts = []
    for _ in range(3):
        received = []
        with connection.Consumer(quorum, on_message=received.append):
            connection.drain_events(timeout=LONG)
        counts.append(received[0].delivery_info["delivery_count"])
        received[0].requeue()
    assert counts == [1, 2, 3]
    stream = Queue(
        uuid4().hex,
        queue_arguments={"x-queue-type": "stream", "x-max-age": "1h"},
        consumer_arguments={"x-stream-offset": "first"},
    )(connection)
    stream.declare()
    connection.Producer().publish("stream", routing_key=stream.name)
    for _ in range(2):  # what is acknowledged in a stream stays
        received = []
        with connection.Consumer(stream, on_message=received.append):
            connection.drain_events(timeout=LONG)
        assert received[0].payload == "stream"
        received[0].ack()


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("classic", "x-delivery-limit"), ("classic", "x-max-age"), ("quorum", "x-max-priority"), ("stream", "x-expires")],
)
def test_an_argument_that_a_kind_of_queue_would_ignore_is_refused(
    connection: Connection, kind: str, argument: str
) -> None:
    queue = Queue(uuid4().hex, queue_arguments={"x-queue-type": kind, argument: 1})
    with pytest.raises(NotSupported, match=f"'amqp'.*'{argument}'.*{kind}"):
        queue(connection).declare()


def test_without_confirms_nothing_is_waited_for(host: str) -> None:
    with Connection(url(virtual_host=host), transport_options={"confirm_publish": False}) as careless:
        queue = Queue(uuid4().hex, exclusive=True)(careless)
        queue.declare()
        careless.Producer().publish_many([1, 2], routing_key=queue.name)
        received: list[object] = []
        with careless.Consumer(queue, on_message=lambda message: received.append(message.payload)):
            while len(received) < 2:
                careless.drain_events(timeout=LONG)
    assert received == [1, 2]
