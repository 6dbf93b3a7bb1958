"""What a consumer can be told while it runs: to pause, to take less, to go on elsewhere, that its queue is gone."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import MessageStateError, NotFound, PreconditionFailed
from tests.memory import PATIENCE, Connect, counts, drain, nothing_comes, publish

pytestmark = pytest.mark.usefixtures("orders_queue")

orders = Queue("orders")


class Received(list[Message]):
    def payloads(self) -> list[Any]:
        return [message.payload for message in self]


@pytest.fixture
def received() -> Received:
    return Received()


def test_a_consumer_that_is_paused_gets_nothing_and_what_waited_for_it_goes_to_others(
    connect: Connect, received: Received
) -> None:
    paused, other = connect(), connect()
    publish(paused, 1, 2, 3)
    with Consumer(paused, orders, on_message=received.append) as consumer:
        drain(paused, 1)
        consumer.flow(False)
        nothing_comes(paused)
        taken = [Queue("orders")(other).get() for _ in range(3)]
        assert [message and message.payload for message in taken] == [2, 3, None]
        publish(other, 4)
        consumer.flow(True)
        drain(paused, 1)
    assert received.payloads() == [1, 4]


def test_what_went_back_in_a_pause_counts_as_not_tried(connect: Connect, received: Received) -> None:
    connection = connect()
    publish(connection, 1, 2)
    with Consumer(connection, orders, on_message=received.append) as consumer:
        drain(connection, 1)
        consumer.flow(False)
        consumer.flow(True)
        drain(connection, 1)
    assert [message.delivery_info["delivery_count"] for message in received] == [1, 1]


def test_two_consumers_of_a_channel_have_a_prefetch_each(connection: Connection, name: str) -> None:
    channel = connection.channel()
    few, many = Received(), Received()
    Queue("others")(channel).declare()
    publish(connection, *range(5))
    publish(connection, *range(5), queue="others")
    with (
        Consumer(channel, orders, on_message=few.append, prefetch_count=1),
        Consumer(channel, Queue("others"), on_message=many.append, prefetch_count=3),
    ):
        drain(connection, 4)
        nothing_comes(connection)
        assert (few.payloads(), many.payloads()) == ([0], [0, 1, 2])
        few[0].ack()
        drain(connection, 1)
        assert few.payloads() == [0, 1]


def test_a_common_prefetch_bounds_all_consumers_of_a_channel_together(connection: Connection) -> None:
    channel, received = connection.channel(), Received()
    Queue("others")(channel).declare()
    publish(connection, *range(5))
    publish(connection, *range(5), queue="others")
    with Consumer(channel, [orders, Queue("others")], on_message=received.append) as consumer:
        consumer.qos(prefetch_count=3, apply_global=True)
        drain(connection, 3)
        nothing_comes(connection)
        received[0].ack()
        drain(connection, 1)
        consumer.qos(prefetch_count=0, apply_global=True)
        drain(connection, 6)


def test_an_acknowledgement_in_another_thread_wakes_a_consumer_that_is_full(connection: Connection) -> None:
    received, second = Received(), threading.Event()
    publish(connection, 1, 2)

    def receive(message: Message) -> None:
        received.append(message)
        if len(received) == 1:
            threading.Timer(0.05, message.ack).start()
        else:
            second.set()

    with Consumer(connection, orders, on_message=receive, prefetch_count=1):
        drain(connection, 2)
    assert second.is_set()


def test_a_consumer_goes_on_with_another_channel(connect: Connect, received: Received) -> None:
    first, second = connect(), connect()
    consumer = Consumer(first, orders, on_message=received.append)
    consumer.consume()
    first.release()
    consumer.revive(second)
    publish(second, 1)
    drain(second, 1)
    consumer.cancel()
    assert received.payloads() == [1]
    assert consumer.connection is second


def test_a_consumer_is_told_when_its_queue_is_deleted(connect: Connect) -> None:
    connection, told = connect(), []
    orders(connection).consume("mine", on_cancel=told.append)
    Queue("others")(connection).declare()
    Queue("others")(connection).consume("other")
    Queue("orders")(connect()).delete()
    nothing_comes(connection)
    assert told == ["mine"]


def test_who_is_not_told_otherwise_hears_of_it_where_it_drains(connect: Connect) -> None:
    connection, told = connect(), []
    orders(connection).consume("told", on_cancel=told.append)
    orders(connection).consume("not told")
    Queue("orders")(connect()).delete()
    with pytest.raises(NotFound, match="'orders'"):
        connection.drain_events(timeout=PATIENCE)
    assert told == ["told"]


def test_messages_that_another_acknowledged_with_its_own_are_settled(connection: Connection, name: str) -> None:
    publish(connection, 1, 2, 3)
    first, second, third = (orders(connection).get() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    second.ack(multiple=True)
    assert (first.acknowledged, third.acknowledged) == (True, False)
    with pytest.raises(MessageStateError, match="acknowledged"):
        first.reject()
    third.requeue()
    connection.release()
    assert counts(name).total == 1


def test_messages_that_were_recovered_are_settled(connection: Connection) -> None:
    publish(connection, 1)
    message = orders(connection).get()
    assert message is not None
    connection.default_channel.basic_recover()
    with pytest.raises(MessageStateError, match="requeued"):
        message.ack()


def test_a_consumer_tag_that_is_too_long_is_refused(connection: Connection) -> None:
    with pytest.raises(PreconditionFailed, match="255 characters"):
        orders(connection).consume("x" * 256)


def test_a_channel_closes_at_the_end_of_its_block(connection: Connection, name: str) -> None:
    publish(connection, 1)
    with connection.channel() as channel:
        assert orders(channel).get() is not None
    assert not channel.is_open
    assert counts(name).ready == 1


def test_what_was_acknowledged_does_not_count_when_its_queue_is_deleted(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    publish(connection, 1)
    message = orders(connection).get()
    assert message is not None
    message.ack()
    assert orders(connection).delete(if_empty=True) == 0
    assert caplog.messages == []


def test_a_message_that_nobody_has_looked_at_goes_back_uncounted(connection: Connection) -> None:
    publish(connection, 1)
    for counted in (False, False, True):
        message = orders(connection).get()
        assert message is not None
        assert message.delivery_info["delivery_count"] == 1
        message.requeue(counted=counted)
    message = orders(connection).get()
    assert message is not None
    assert message.delivery_info["delivery_count"] == 2
