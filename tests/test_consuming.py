"""Consumers share what waits, hold no more than they may, and lose nothing that they do not settle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import KombuError, MessageStateError, NotFound, NotSupported, PreconditionFailed
from tests.memory import PATIENCE, Connect, counts, drain, nothing_comes, publish, take

pytestmark = pytest.mark.usefixtures("orders_queue")

orders = Queue("orders")


def consumer(connection: Connection, *queues: Queue, **options: Any) -> tuple[Consumer, list[Message]]:
    """A consumer on a channel of its own, consuming already, and the messages it is given."""
    seen: list[Message] = []
    made = Consumer(connection.channel(), queues or [orders], on_message=seen.append, **options)
    made.consume()
    return made, seen


def payloads(messages: list[Message]) -> list[Any]:
    return [message.payload for message in messages]


def count(message: Message) -> tuple[int, bool]:
    return message.delivery_info["delivery_count"], message.delivery_info["redelivered"]


def test_messages_come_in_the_order_they_were_published(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    seen: list[Any] = []
    with connection.Consumer(orders, callbacks=[lambda body, message: seen.append((body, count(message)))]):
        drain(connection, 3)
    assert seen == [(1, (1, False)), (2, (1, False)), (3, (1, False))]


def test_a_drain_that_meets_no_message_times_out(connection: Connection) -> None:
    with connection.Consumer(orders, on_message=print), pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        connection.drain_events(timeout=0.01)


def test_a_consumer_never_holds_more_than_its_prefetch(connection: Connection, name: str) -> None:
    publish(connection, *range(5))
    _, seen = consumer(connection, prefetch_count=2)
    drain(connection, 2)
    nothing_comes(connection)
    assert (counts(name).leased, counts(name).ready) == (2, 3)
    seen[0].ack()
    drain(connection, 1)
    nothing_comes(connection)
    assert payloads(seen) == [0, 1, 2]
    assert (counts(name).leased, counts(name).ready) == (2, 2)


def test_nobody_takes_a_whole_queue_unasked(connection: Connection, connect: Connect, name: str) -> None:
    publish(connection, *range(100))
    consumer(connection)
    drain(connection, 1)
    assert counts(name).leased == 64
    consumer(other := connect(transport_options={"prefetch": 10}))
    drain(other, 1)
    assert counts(name).leased == 74


def test_a_full_queue_does_not_hold_up_the_other(connection: Connection) -> None:
    full, free = Queue("full"), Queue("free")
    _, held = consumer(connection, full, prefetch_count=1)
    _, seen = consumer(connection, free)
    publish(connection, 1, 2, queue="full")
    publish(connection, 3, 4, 5, queue="free")
    drain(connection, 4)
    nothing_comes(connection)
    assert (payloads(held), payloads(seen)) == ([1], [3, 4, 5])


def test_queues_take_turns(connection: Connection) -> None:
    _, seen = consumer(connection, Queue("a"), Queue("b"), prefetch_count=10)
    publish(connection, *["a"] * 3, queue="a")
    publish(connection, *["b"] * 3, queue="b")
    drain(connection, 6)
    bodies = payloads(seen)
    assert [set(pair) for pair in zip(bodies[::2], bodies[1::2], strict=True)] == [{"a", "b"}] * 3


def test_two_consumers_of_one_queue_share_it(connection: Connection) -> None:
    publish(connection, *range(6))
    (_, first), (_, second) = consumer(connection), consumer(connection)
    drain(connection, 6)
    assert (len(first), len(second)) == (3, 3)
    assert sorted(payloads(first) + payloads(second)) == list(range(6))


def test_two_connections_share_a_queue(connection: Connection, connect: Connect) -> None:
    publish(connection, *range(4))
    other = connect()
    (_, first), (_, second) = consumer(connection, prefetch_count=2), consumer(other, prefetch_count=2)
    drain(connection, 2)
    drain(other, 2)
    assert sorted(payloads(first) + payloads(second)) == [0, 1, 2, 3]


def test_cancelling_one_consumer_takes_nothing_from_the_other(connection: Connection) -> None:
    publish(connection, *range(4))
    (leaving, first), (_, second) = consumer(connection), consumer(connection)
    drain(connection, 1)
    leaving.cancel()
    drain(connection, 3)
    assert [count(message) for message in second] == [(1, False)] * 3
    assert sorted(payloads(first) + payloads(second)) == [0, 1, 2, 3]


def test_what_waited_for_the_last_consumer_goes_back_as_if_nobody_had_touched_it(
    connection: Connection, connect: Connect, name: str
) -> None:
    publish(connection, 1, 2, 3)
    leaving, seen = consumer(connection)
    drain(connection, 1)
    leaving.cancel()
    assert (counts(name).leased, counts(name).ready) == (1, 2)
    _, others = consumer(other := connect())
    drain(other, 2)
    assert [(message.payload, count(message)) for message in others] == [(2, (1, False)), (3, (1, False))]
    seen[0].ack()


def test_a_cancelled_consumer_is_given_nothing_more(connection: Connection) -> None:
    _, stays = consumer(connection, Queue("other"))
    leaving, seen = consumer(connection)
    leaving.cancel_by_queue("orders")
    publish(connection, 1)
    publish(connection, 2, queue="other")
    drain(connection, 1)
    nothing_comes(connection)
    assert (payloads(seen), payloads(stays)) == ([], [2])


def test_an_acknowledged_message_is_gone(connection: Connection, connect: Connect, name: str) -> None:
    publish(connection, 1)
    _, seen = consumer(connection)
    drain(connection, 1)
    seen[0].ack()
    connection.close()
    assert counts(name).total == 0


def test_a_rejected_message_is_gone_where_its_queue_names_no_dead_letter_exchange(
    connection: Connection, name: str
) -> None:
    publish(connection, 1)
    take(connection).reject()
    nothing_comes(connection)
    assert counts(name).total == 0


@pytest.mark.parametrize("requeue", [Message.requeue, lambda message: message.reject(requeue=True)])
def test_a_requeued_message_comes_back_redelivered_in_its_place(
    requeue: Callable[[Message], None], connection: Connection
) -> None:
    publish(connection, 1, 2)
    requeue(take(connection))
    again = take(connection)
    assert (again.payload, count(again)) == (1, (2, True))


def test_a_message_can_be_requeued_for_later(connection: Connection, name: str) -> None:
    publish(connection, 1)
    message = take(connection)
    with pytest.raises(PreconditionFailed, match="delay"):
        message.requeue(delay=-1)
    message.requeue(delay=3600)
    nothing_comes(connection)
    assert (counts(name).ready, counts(name).delayed, counts(name).leased) == (0, 1, 0)


@pytest.mark.parametrize("first", [Message.ack, Message.reject, Message.requeue])
@pytest.mark.parametrize("second", [Message.ack, Message.reject, Message.requeue])
def test_a_message_is_settled_once(
    first: Callable[[Message], None], second: Callable[[Message], None], connection: Connection
) -> None:
    publish(connection, 1)
    message = take(connection)
    first(message)
    assert message.acknowledged
    with pytest.raises(MessageStateError, match="already"):
        second(message)


def test_ack_multiple_acknowledges_all_that_came_before_on_the_channel(connection: Connection, name: str) -> None:
    publish(connection, *range(4))
    _, seen = consumer(connection)
    drain(connection, 4)
    seen[2].ack(multiple=True)
    nothing_comes(connection)
    assert counts(name).total == 1
    seen[3].ack()
    with pytest.raises(KombuError, match=r"already|before"):
        seen[0].ack()


def test_recover_brings_everything_unsettled_back(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    recovering, seen = consumer(connection)
    drain(connection, 3)
    seen.pop(1).ack()
    recovering.recover()
    drain(connection, 2)
    assert [(message.payload, count(message)) for message in seen[2:]] == [(1, (2, True)), (3, (2, True))]


def test_without_acknowledgements_a_delivered_message_is_gone(connection: Connection, name: str) -> None:
    publish(connection, *range(5))
    _, seen = consumer(connection, no_ack=True, prefetch_count=2)
    drain(connection, 5)
    nothing_comes(connection)
    assert (payloads(seen), counts(name).total) == ([0, 1, 2, 3, 4], 0)
    seen[0].ack()


@pytest.mark.parametrize("close", ["channel", "connection"])
def test_closing_gives_back_what_is_not_settled(
    close: str, connection: Connection, connect: Connect, name: str
) -> None:
    publish(connection, 1, 2, 3)
    closing, seen = consumer(connection)
    drain(connection, 2)
    seen[0].ack()
    closing.channel.close() if close == "channel" else connection.close()
    other = connect()
    assert [(message.payload, count(message)) for message in (take(other), take(other))] == [
        (2, (2, True)),
        (3, (1, False)),
    ]
    assert counts(name).total == 2


def test_a_closed_channels_consumers_are_given_nothing(connection: Connection, name: str) -> None:
    closing, seen = consumer(connection)
    closing.channel.close()
    publish(connection, 1)
    nothing_comes(connection)
    assert (seen, counts(name).ready) == ([], 1)


def test_a_handler_that_raises_leaves_its_message_unsettled(connection: Connection, connect: Connect) -> None:
    def handle(body: Any, message: Message) -> None:
        raise ZeroDivisionError(body)

    publish(connection, 1)
    with connection.Consumer(orders, callbacks=[handle]), pytest.raises(ZeroDivisionError):
        connection.drain_events(timeout=PATIENCE)
    connection.close()
    assert count(take(connect())) == (2, True)


def test_get_answers_one_message_or_none(connection: Connection, name: str) -> None:
    queue = orders(connection)
    assert queue.get() is None
    publish(connection, {"id": 1}, serializer="pickle")
    message = queue.get(accept=["pickle"])
    assert message is not None
    assert message.payload == {"id": 1}
    message.ack()
    publish(connection, 2)
    assert queue.get(no_ack=True) is not None
    assert queue.get() is None
    nothing_comes(connection)
    assert counts(name).total == 0
    with pytest.raises(NotFound, match="'missing'"):
        Queue("missing")(connection).get()


def test_a_consumer_of_a_missing_queue_is_told(connection: Connection, connect: Connect) -> None:
    with pytest.raises(NotFound, match="'missing'"):
        Queue("missing")(connection).consume()
    orders(connect()).delete()
    with pytest.raises(NotFound, match="'orders'"):
        orders(connection).consume()


def test_a_consumer_whose_queue_is_deleted_under_it_is_told(connection: Connection, connect: Connect) -> None:
    _, seen = consumer(connection, Queue("orders"), Queue("others"))
    publish(connection, 1)
    connection.drain_events(timeout=0)
    Queue("orders")(connect()).delete()
    with pytest.raises(NotFound, match="'orders'"):
        connection.drain_events(timeout=10)
    publish(connection, 2, queue="others")
    connection.drain_events(timeout=0)
    assert [message.payload for message in seen] == [1, 2]


def test_a_consumer_that_ended_with_its_queue_can_be_cancelled_beside_a_new_one(
    connection: Connection, connect: Connect
) -> None:
    ended, _ = consumer(connection, Queue("orders"))
    Queue("orders")(connect()).delete()
    with pytest.raises(NotFound):
        connection.drain_events(timeout=10)
    _, seen = consumer(connection, Queue("orders"))
    ended.cancel()
    publish(connection, 1)
    connection.drain_events(timeout=0)
    assert [message.payload for message in seen] == [1]


def test_a_prefetch_in_bytes_is_refused(connection: Connection) -> None:
    with pytest.raises(NotSupported, match="prefetch_size"):
        connection.channel().basic_qos(prefetch_size=1)
