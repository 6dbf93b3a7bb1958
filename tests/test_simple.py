"""A SimpleQueue is a queue of the broker with the methods of ``queue.Queue``: it waits, counts, and loses nothing."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import ContentDisallowed, DecodeError, MessageStateError, NotBoundError, NotFound
from kombu.serialization import registry
from kombu.simple import SimpleBase, SimpleBuffer, SimpleQueue
from tests.memory import PATIENCE, Connect, counts, nothing_comes, publish, take


@pytest.fixture
def orders(connection: Connection) -> Iterator[SimpleQueue]:
    with SimpleQueue(connection, "orders") as simple:
        yield simple


def got(simple: SimpleBase) -> object:
    """What comes next, acknowledged."""
    message = simple.get(timeout=PATIENCE)
    message.ack()
    return message.payload


def test_what_is_put_is_got_in_order(orders: SimpleQueue) -> None:
    orders.put({"id": 1})
    orders.put("text")
    orders.put([3])
    assert [got(orders) for _ in range(3)] == [{"id": 1}, "text", [3]]


def test_a_name_makes_a_queue_behind_an_exchange_of_the_same_name(orders: SimpleQueue, connection: Connection) -> None:
    connection.Producer(exchange=Exchange("orders"), routing_key="orders").publish("from elsewhere")
    assert got(orders) == "from elsewhere"


def test_a_queue_that_is_given_is_used_with_its_own_exchange_and_key(connection: Connection) -> None:
    given = Queue("invoices", Exchange("shop", "topic"), routing_key="order.paid")
    with SimpleQueue(connection, given) as simple:
        simple.put("by its key")
        assert got(simple) == "by its key"
        simple.put("by another", routing_key="order.cancelled")
        assert simple.qsize() == 0


def test_a_queue_without_an_exchange_is_reached_by_its_name(connection: Connection) -> None:
    with SimpleQueue(connection, Queue("plain")) as simple:
        simple.put(1)
        assert got(simple) == 1


def test_options_describe_the_entities_that_a_name_makes(connection: Connection) -> None:
    options = {"durable": False}
    with SimpleQueue(
        connection, "orders", queue_opts=options, queue_args={"x-max-priority": 3}, exchange_opts={"type": "fanout"}
    ) as simple:
        simple.put("usual")
        simple.put("urgent", priority=3, routing_key="anything")
        assert [got(simple), got(simple)] == ["urgent", "usual"]
        assert (simple.queue.durable, simple.queue.exchange) == (False, Exchange("orders", "fanout"))


def test_get_without_waiting_raises_empty_at_once(orders: SimpleQueue) -> None:
    for attempt in (orders.get_nowait, lambda: orders.get(block=False), lambda: orders.get(block=False, timeout=60)):
        with pytest.raises(SimpleQueue.Empty):
            attempt()
    assert SimpleQueue.Empty is queue.Empty


def test_get_without_waiting_gives_what_is_there(orders: SimpleQueue) -> None:
    orders.put(1)
    assert orders.get_nowait().payload == 1


def test_get_gives_up_at_its_deadline(orders: SimpleQueue) -> None:
    with pytest.raises(SimpleQueue.Empty):
        orders.get(timeout=0.01)


def test_messages_of_other_consumers_do_not_put_off_the_deadline(orders: SimpleQueue, connection: Connection) -> None:
    def pass_on(body: object, message: object) -> None:
        publish(connection, "again", queue="others")

    Queue("others")(connection).declare()
    publish(connection, "first", queue="others")
    with connection.Consumer(Queue("others"), callbacks=[pass_on], no_ack=True), pytest.raises(SimpleQueue.Empty):
        orders.get(timeout=0.05)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused(orders: SimpleQueue, timeout: float) -> None:
    with pytest.raises(ValueError, match="not negative"):
        orders.get(timeout=timeout)


def test_get_waits_for_what_another_thread_puts(orders: SimpleQueue, connect: Connect) -> None:
    waiting = threading.Event()

    def put_later() -> None:
        waiting.wait(PATIENCE)
        with SimpleQueue(connect(), "orders") as theirs:
            theirs.put("at last")

    thread = threading.Thread(target=put_later)
    thread.start()
    waiting.set()
    assert got(orders) == "at last"
    thread.join(PATIENCE)


def test_get_waits_on_while_the_caller_holds_an_earlier_message(orders: SimpleQueue, connect: Connect) -> None:
    theirs = SimpleQueue(connect(), "orders")
    held = []
    for number in range(3):
        thread = threading.Thread(target=theirs.put, args=(number,))
        thread.start()
        held.append(orders.get(timeout=PATIENCE))
        thread.join(PATIENCE)
    assert [message.payload for message in held] == [0, 1, 2]


def test_one_who_gets_takes_nothing_from_others(orders: SimpleQueue, connect: Connect) -> None:
    for number in range(3):
        orders.put(number)
    theirs = SimpleQueue(connect(), "orders")
    assert [got(orders), got(theirs), got(orders)] == [0, 1, 2]


def test_one_who_waited_takes_nothing_from_others(orders: SimpleQueue, connect: Connect) -> None:
    with pytest.raises(SimpleQueue.Empty):
        orders.get(timeout=0)
    theirs = SimpleQueue(connect(), "orders")
    theirs.put("for whoever asks")
    assert theirs.get_nowait().payload == "for whoever asks"


def test_the_size_is_what_nobody_has_got(orders: SimpleQueue) -> None:
    for number in range(3):
        orders.put(number)
    assert (len(orders), orders.qsize()) == (3, 3)
    held = orders.get()
    assert len(orders) == 2
    held.requeue()
    assert got(orders) == 0
    assert len(orders) == 2


def test_it_is_true_even_when_it_is_empty(orders: SimpleQueue) -> None:
    assert bool(orders)
    assert len(orders) == 0


def test_clear_removes_what_waits_and_says_how_many(orders: SimpleQueue, name: str) -> None:
    for number in range(3):
        orders.put(number)
    held = orders.get()
    assert orders.clear() == 2
    held.ack()
    assert len(orders) == 0


def test_what_was_got_and_not_settled_goes_back_on_close(connection: Connection) -> None:
    with SimpleQueue(connection, "orders") as simple:
        simple.put("kept")
        simple.get()
    assert take(connection).payload == "kept"


def test_a_closed_one_says_so(orders: SimpleQueue) -> None:
    orders.close()
    orders.close()
    for use in (orders.get_nowait, orders.get, orders.qsize, orders.clear, lambda: orders.put(1)):
        with pytest.raises(NotBoundError, match=r"SimpleQueue 'orders'> is closed"):
            use()


def test_closing_it_leaves_the_connection_open(connection: Connection) -> None:
    SimpleQueue(connection, "orders").close()
    assert connection.connected


def test_without_acknowledgement_a_message_is_gone_when_it_is_got(connection: Connection, name: str) -> None:
    with SimpleQueue(connection, "orders", no_ack=True) as simple:
        simple.put(1)
        message = simple.get_nowait()
        message.ack()
        with pytest.raises(MessageStateError):
            message.requeue()
    nothing_is_left(connection, name)


def test_without_acknowledgement_a_message_that_was_waited_for_is_gone_too(
    connection: Connection, connect: Connect, name: str
) -> None:
    with SimpleQueue(connection, "orders", no_ack=True) as simple:
        thread = threading.Thread(target=SimpleQueue(connect(), "orders").put, args=(1,))
        thread.start()
        message = simple.get(timeout=PATIENCE)
        thread.join(PATIENCE)
        message.ack()
        assert message.payload == 1
    nothing_is_left(connection, name)


def nothing_is_left(connection: Connection, name: str) -> None:
    connection.release()
    assert counts(name).total == 0


def test_a_body_that_cannot_be_decoded_stays_the_callers(orders: SimpleQueue, connection: Connection) -> None:
    publish(connection, b"{", content_type="application/json", content_encoding="utf-8")
    message = orders.get()
    with pytest.raises(DecodeError):
        _ = message.payload
    assert not message.acknowledged
    orders.close()
    assert take(connection).body == b"{"


def test_only_what_is_accepted_is_decoded(connection: Connection) -> None:
    with (
        SimpleQueue(connection, "orders", serializer="pickle") as simple,
        SimpleQueue(connection, "orders", accept=["pickle"]) as unwary,
    ):
        simple.put({1})
        with pytest.raises(ContentDisallowed):
            _ = orders_message(simple)
        simple.put({2})
        assert got(unwary) == {2}


def orders_message(simple: SimpleQueue) -> object:
    message = simple.get()
    message.ack()
    return message.payload


def test_what_is_put_has_the_serializer_compression_and_headers_that_were_asked_for(orders: SimpleQueue) -> None:
    orders.put({"a": 1}, serializer="pickle", compression="gzip", headers={"trace": "t"})
    message = orders.get()
    assert message.content_type == registry.name_to_type["pickle"]
    assert message.headers == {"trace": "t", "compression": "application/x-gzip"}


def test_it_works_on_the_connection_of_a_channel_and_leaves_the_channel_alone(connection: Connection) -> None:
    channel = connection.channel()
    with SimpleQueue(channel, "orders") as simple:
        simple.put(1)
        assert got(simple) == 1
        assert simple.channel is not channel
    assert channel.is_open


@pytest.mark.parametrize("name", ["", None, 7])
def test_what_is_no_name_of_a_queue_is_refused(connection: Connection, name: object) -> None:
    with pytest.raises(TypeError, match="SimpleQueue needs the name of a queue"):
        SimpleQueue(connection, name)  # type: ignore[arg-type]


def test_what_is_no_connection_is_refused() -> None:
    with pytest.raises(TypeError, match="a connection or a channel is needed"):
        SimpleQueue("memory://", "orders")  # type: ignore[arg-type]


def test_a_queue_that_was_deleted_meanwhile_is_reported(orders: SimpleQueue, connect: Connect) -> None:
    Queue("orders")(connect()).delete()
    for use in (orders.qsize, orders.clear):
        with pytest.raises(NotFound):
            use()


def test_it_goes_on_after_the_connection_was_replaced(orders: SimpleQueue, connection: Connection) -> None:
    orders.put(1)
    connection.reconnect()
    orders.put(2)
    assert [got(orders), got(orders)] == [1, 2]


def test_a_buffer_keeps_what_is_put_until_it_is_got(connection: Connection) -> None:
    with SimpleBuffer(connection, "scratch") as buffer:
        buffer.put({"id": 1})
        message = buffer.get(timeout=PATIENCE)
        assert message.payload == {"id": 1}
        assert message.properties["delivery_mode"] == 1
        with pytest.raises(SimpleBuffer.Empty):
            buffer.get(timeout=0.01)
        buffer.put(2)
        assert got(buffer) == 2


def test_a_buffer_waits_for_one_message_after_another(connection: Connection) -> None:
    with SimpleBuffer(connection, "scratch") as buffer:
        for number in range(3):
            with pytest.raises(SimpleBuffer.Empty):
                buffer.get(timeout=0)
            buffer.put(number)
            assert buffer.get(timeout=PATIENCE).payload == number


def test_a_buffer_is_its_connections_own(connection: Connection) -> None:
    with SimpleBuffer(connection, "scratch") as buffer:
        described = buffer.queue
        assert (described.durable, described.auto_delete, described.exclusive) == (False, True, True)
        assert buffer.no_ack


def test_an_auto_deleted_queue_is_not_deleted_between_two_waits(connection: Connection, connect: Connect) -> None:
    with SimpleQueue(connection, "passing", queue_opts={"auto_delete": True}) as simple:
        for number in range(3):
            with pytest.raises(SimpleQueue.Empty):
                simple.get(timeout=0)
            publish(connect(), number, queue="passing", mandatory=True)
            assert simple.get(timeout=PATIENCE).payload == number, "it is held, and the next one comes all the same"
        assert simple.queue.queue_declare(passive=True).consumer_count == 1


def test_the_consumer_of_an_auto_deleted_queue_holds_no_more_than_was_asked_for(
    connection: Connection, connect: Connect, name: str
) -> None:
    with SimpleQueue(connection, "passing", queue_opts={"auto_delete": True}) as simple:
        with pytest.raises(SimpleQueue.Empty):
            simple.get(timeout=0)
        publish(connect(), 1, 2, 3, queue="passing")
        assert simple.get(timeout=PATIENCE).payload == 1
        assert counts(name, "passing").ready == 2


def test_many_threads_share_one_queue_without_loss(connect: Connect) -> None:
    with SimpleQueue(connect(), "orders") as simple:
        for number in range(60):
            simple.put(number)
    seen: list[object] = []
    connections = [connect() for _ in range(4)]

    def work(connection: Connection) -> None:
        with SimpleQueue(connection, "orders") as simple:
            while len(seen) < 60:
                try:
                    seen.append(got_within(simple, 0.05))
                except SimpleQueue.Empty:
                    continue

    threads = [threading.Thread(target=work, args=(each,)) for each in connections]
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    assert sorted(seen, key=str) == sorted(range(60), key=str)


def got_within(simple: SimpleQueue, seconds: float) -> object:
    message = simple.get(timeout=seconds)
    message.ack()
    return message.payload


def test_waiting_leaves_no_consumer_behind(orders: SimpleQueue, connection: Connection) -> None:
    with pytest.raises(SimpleQueue.Empty):
        orders.get(timeout=0)
    assert orders.queue.queue_declare(passive=True).consumer_count == 0
    nothing_comes(connection)
