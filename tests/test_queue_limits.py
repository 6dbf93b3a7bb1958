"""Queues of limited length: what is too much is dropped at the head, dead-lettered, or refused at the door."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction

from kombu import Connection, Message
from kombu.exceptions import PublishRefused
from tests.memory import Connect, publish, take
from tests.processes import ORDERS, at_once, wait_until

pytest_plugins = ["tests.both"]

DEAD = "dead"
THREADS = 4


def declare(connection: Connection, queue: str = ORDERS, **arguments: object) -> None:
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    connection.channel().queue_declare(queue, arguments=named)


def payloads(connection: Connection, queue: str = ORDERS) -> list[object]:
    """All that is ready; it is taken out."""
    channel = connection.channel()
    found: list[object] = []
    while (message := channel.basic_get(queue, no_ack=True)) is not None:
        found.append(message.payload)
    return found


def hold(connection: Connection) -> Message:
    message = connection.channel().basic_get(ORDERS)
    assert message is not None
    return message


def ready(connection: Connection, queue: str = ORDERS) -> int:
    return connection.channel().queue_declare(queue, passive=True).message_count


def test_what_is_too_much_is_dropped_at_the_head(join: Connect) -> None:
    connection, other = join(), join()
    declare(other, max_length=2)
    publish(connection, 1)
    publish(connection, 2, 3, 4)
    assert payloads(other) == [3, 4]


def test_what_is_dropped_goes_to_the_dead_letter_exchange(join: Connect) -> None:
    connection = join()
    declare(connection, DEAD)
    declare(connection, max_length=1, dead_letter_exchange="", dead_letter_routing_key=DEAD)
    publish(connection, 1, 2)
    letter = take(join(), DEAD)
    assert letter.payload == 1
    death = letter.headers["x-death"][0]
    assert (death["queue"], death["reason"], death["count"]) == (ORDERS, "maxlen", 1)
    assert letter.delivery_info["delivery_count"] == 1
    assert payloads(connection) == [2]


def test_a_limit_in_bytes_counts_the_bodies(join: Connect) -> None:
    connection = join()
    declare(connection, DEAD)
    declare(connection, max_length_bytes=250, dead_letter_exchange="", dead_letter_routing_key=DEAD)
    publish(connection, *(letter * 100 for letter in (b"a", b"b", b"c")))
    assert payloads(connection, DEAD) == [b"a" * 100]
    publish(connection, b"d" * 251)
    assert payloads(connection, DEAD) == [b"b" * 100, b"c" * 100, b"d" * 251]
    assert payloads(connection) == []


def test_dead_letters_fill_a_limited_queue_and_die_there_in_turn(join: Connect) -> None:
    connection = join()
    declare(connection, "last")
    declare(connection, DEAD, max_length=1, dead_letter_exchange="", dead_letter_routing_key="last")
    declare(connection, max_length=1, dead_letter_exchange="", dead_letter_routing_key=DEAD)
    publish(connection, 1, 2, 3, 4)
    assert [payloads(connection, queue) for queue in ("last", DEAD, ORDERS)] == [[1, 2], [3], [4]]


def test_what_is_held_leaves_room_and_drops_the_oldest_when_it_comes_back(join: Connect) -> None:
    connection, other = join(), join()
    declare(connection, max_length=1)
    publish(connection, 1)
    held = hold(connection)
    publish(connection, 2)
    assert ready(other) == 1
    held.requeue()
    connection.release()
    publish(other, 3)
    assert payloads(other) == [3]


def test_whoever_consumes_keeps_queues_to_their_limits(join: Connect) -> None:
    """Though nobody publishes to them any more."""
    holder, looker = join(), join()
    declare(holder, max_length=1)
    declare(holder, "other")
    publish(holder, 1)
    held = hold(holder)
    publish(holder, 2)
    held.requeue()
    holder.release()
    looker.channel().basic_consume("other", callback=lambda message: None)
    wait_until(lambda: ready(looker) == 1, looker)
    assert payloads(looker) == [2]


def test_of_many_that_publish_at_once_nothing_is_dropped_twice_or_too_much(join: Connect) -> None:
    connection = join()
    declare(connection, DEAD)
    declare(connection, max_length=5, dead_letter_exchange="", dead_letter_routing_key=DEAD)

    def publisher(number: int) -> Callable[[], None]:
        own = join()
        return lambda: [publish(own, 10 * number + each) for each in range(10)] and None

    at_once(*[publisher(number) for number in range(THREADS)])
    kept, dropped = payloads(connection), payloads(connection, DEAD)
    assert len(kept) == 5
    assert sorted(map(int, map(str, kept + dropped))) == list(range(10 * THREADS))


def test_a_full_queue_that_refuses_lets_the_publisher_know(join: Connect) -> None:
    connection = join()
    declare(connection, max_length=2, overflow="reject-publish")
    publish(connection, 1, 2)
    with pytest.raises(PublishRefused, match=ORDERS):
        publish(join(), 3)
    assert take(connection).payload == 1
    publish(connection, 4)
    assert payloads(connection) == [2, 4]


def test_what_one_queue_refuses_no_other_queue_gets(join: Connect) -> None:
    connection = join()
    declare(connection, max_length=0, overflow="reject-publish")
    declare(connection, "other")
    for queue in (ORDERS, "other"):
        connection.channel().queue_bind(queue, "amq.fanout")
    with pytest.raises(PublishRefused, match=ORDERS):
        connection.Producer().publish(1, exchange="amq.fanout")
    assert payloads(connection, "other") == []


def test_a_refused_batch_is_refused_as_a_whole(join: Connect) -> None:
    connection = join()
    declare(connection, max_length_bytes=250, overflow="reject-publish")
    with pytest.raises(PublishRefused):
        publish(connection, b"a" * 100, b"b" * 100, b"c" * 100)
    assert payloads(connection) == []


def test_threads_that_share_a_connection_are_refused_each_for_itself(join: Connect) -> None:
    connection = join()
    declare(connection, max_length=10, overflow="reject-publish")

    def publish_some() -> int:
        return sum(accepted(connection, each) for each in range(5))

    assert sum(at_once(*[publish_some] * THREADS)) == 10
    assert ready(connection) == 10


def accepted(connection: Connection, body: object) -> bool:
    try:
        publish(connection, body)
    except PublishRefused:
        return False
    return True


def test_a_dead_letter_that_is_refused_stays_where_it_was(join: Connect, caplog: pytest.LogCaptureFixture) -> None:
    connection = join(lease=0.2)
    declare(connection, DEAD, max_length=1, overflow="reject-publish")
    declare(connection, dead_letter_exchange="", dead_letter_routing_key=DEAD)
    publish(connection, "first", queue=DEAD)
    publish(connection, 1)
    hold(connection).reject()
    connection.release()
    assert "cannot be moved and stays" in caplog.text
    other = join()
    wait_until(lambda: ready(other) == 1)
    assert payloads(other, DEAD) == ["first"]
    hold(other).reject()
    other.release()
    assert payloads(join(), DEAD) == [1]


@pytest.mark.usefixtures("tables")
def test_what_a_rolled_back_transaction_dropped_is_there_again() -> None:
    with Connection("django://default") as connection:
        declare(connection, DEAD)
        declare(connection, max_length=1, dead_letter_exchange="", dead_letter_routing_key=DEAD)
        publish(connection, "old")
        with transaction.atomic():
            publish(connection, "new")
            transaction.set_rollback(True)
        assert payloads(connection) == ["old"]
        assert payloads(connection, DEAD) == []


@pytest.mark.usefixtures("tables")
def test_a_refusal_does_not_break_the_transaction_it_is_in() -> None:
    with Connection("django://default") as connection:
        declare(connection, max_length=1, overflow="reject-publish")
        declare(connection, "other")
        with transaction.atomic():
            publish(connection, 1)
            with pytest.raises(PublishRefused):
                publish(connection, 2)
            publish(connection, 3, queue="other")
        assert (payloads(connection), payloads(connection, "other")) == ([1], [3])
