"""Waiting with kombu.common: on one connection or several, with deadlines, fairly, and without loss."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from kombu import Connection, Message, Queue
from kombu.common import drain_any, drain_consumer, eventloop, itermessages
from kombu.exceptions import ConnectionError, DecodeError
from tests.memory import PATIENCE, Connect, nothing_comes, publish, take

pytestmark = pytest.mark.usefixtures("orders_queue")

orders = Queue("orders")


class Clock:
    """Time that passes only while somebody waits, as :func:`time.monotonic` tells it to the module under test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("kombu.common.waiting.time.monotonic", lambda: self.now)


class Silent:
    """A connection on which nothing comes; notes how long it is waited for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waits: list[float | None] = []

    def drain_events(self, timeout: float | None = None) -> None:
        self.waits.append(timeout)
        assert timeout is not None
        self.clock.now += timeout
        raise TimeoutError


class Busy:
    """A connection on which there is always something."""

    def __init__(self) -> None:
        self.drained = 0

    def drain_events(self, timeout: float | None = None) -> None:
        self.drained += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def two(connect: Connect, name: str) -> list[tuple[Connection, list[Any]]]:
    """Two connections with a consumer each, of the queues ``left`` and ``right``, and what they are given."""
    return [consuming(connect(), queue) for queue in ("left", "right")]


def consuming(connection: Connection, queue: str) -> tuple[Connection, list[Any]]:
    seen: list[Any] = []
    Queue(queue)(connection).declare()
    connection.Consumer(Queue(queue), no_ack=True, callbacks=[lambda body, message: seen.append(body)]).consume()
    return connection, seen


def test_an_event_of_any_connection_ends_the_wait(two: list[tuple[Connection, list[Any]]], connect: Connect) -> None:
    (left, of_left), (right, of_right) = two
    publish(connect(), 1, queue="right")
    drain_any([left, right], timeout=PATIENCE)
    assert (of_left, of_right) == ([], [1])


def test_only_one_event_is_handled_by_one_wait(two: list[tuple[Connection, list[Any]]], connect: Connect) -> None:
    (left, of_left), (right, of_right) = two
    publisher = connect()
    publish(publisher, 1, queue="left")
    publish(publisher, 2, queue="right")
    drain_any([left, right], timeout=PATIENCE)
    assert len(of_left + of_right) == 1
    drain_any([left, right], timeout=PATIENCE)
    assert of_left + of_right == [1, 2]


def test_an_event_that_comes_later_ends_the_wait(two: list[tuple[Connection, list[Any]]], connect: Connect) -> None:
    (left, _), (right, of_right) = two
    publisher = connect()
    thread = threading.Thread(target=publish, args=(publisher, "later"), kwargs={"queue": "right"})
    thread.start()
    drain_any([left, right], timeout=PATIENCE)
    thread.join(PATIENCE)
    assert of_right == ["later"]


def test_nothing_within_the_time_is_a_timeout(two: list[tuple[Connection, list[Any]]]) -> None:
    with pytest.raises(TimeoutError, match=r"any of 2 connections within 0\.02 seconds"):
        drain_any([connection for connection, _ in two], timeout=0.02)


def test_an_event_that_is_there_needs_no_time(two: list[tuple[Connection, list[Any]]], connect: Connect) -> None:
    publish(connect(), 1, queue="right")
    drain_any([connection for connection, _ in two], timeout=0)
    assert two[1][1] == [1]


@pytest.mark.parametrize("number", [2, 3, 20])
@pytest.mark.parametrize("timeout", [0.0, 0.013, 1.0])
def test_the_deadline_is_met_however_many_connections_there_are(clock: Clock, number: int, timeout: float) -> None:
    started = clock.now
    with pytest.raises(TimeoutError):
        drain_any([Silent(clock) for _ in range(number)], timeout)
    assert clock.now - started == pytest.approx(timeout)


@pytest.mark.parametrize("number", [2, 3, 10])
def test_each_connection_has_its_turn_within_50_ms(clock: Clock, number: int) -> None:
    silent = [Silent(clock) for _ in range(number)]
    with pytest.raises(TimeoutError):
        drain_any(silent, timeout=1.0)
    assert all(wait <= 0.05 for each in silent for wait in each.waits if wait is not None)
    assert {len(each.waits) for each in silent} <= {len(silent[0].waits), len(silent[0].waits) + 1}
    assert max(sum(each.waits[1] or 0 for each in silent), 0) <= 0.0501


def test_a_single_connection_is_waited_for_all_the_time(clock: Clock) -> None:
    silent = Silent(clock)
    with pytest.raises(TimeoutError):
        drain_any([silent], timeout=7.0)
    assert silent.waits == [7.0]


def test_busy_connections_all_have_their_turns() -> None:
    busy = [Busy() for _ in range(3)]
    for _ in range(600):
        drain_any(busy)
    assert all(each.drained > 100 for each in busy), "chance decides, and is not that unfair in a lifetime"


def test_a_loop_over_busy_connections_takes_them_in_turn() -> None:
    busy = [Busy() for _ in range(3)]
    assert sum(1 for _ in eventloop(busy, limit=9)) == 9
    assert [each.drained for each in busy] == [3, 3, 3]


def test_no_connections_are_no_reason_to_wait_for_ever() -> None:
    with pytest.raises(ValueError, match="no connections"):
        drain_any([])
    with pytest.raises(ValueError, match="no connections"):
        next(eventloop([]))


def test_the_error_of_a_lost_connection_is_raised_and_the_others_go_on(
    two: list[tuple[Connection, list[Any]]], connect: Connect
) -> None:
    (left, _), (right, of_right) = two
    left.reconnect()
    with pytest.raises(ConnectionError, match="start them again"):
        drain_any([left, right], timeout=PATIENCE)
    publish(connect(), 1, queue="right")
    drain_any([left, right], timeout=PATIENCE)
    assert of_right == [1]


def test_nothing_is_lost_and_no_thread_is_left_while_several_connections_are_drained(connect: Connect) -> None:
    before = set(threading.enumerate())
    consumers = [consuming(connect(), f"q{number}") for number in range(4)]
    publisher = connect()

    def publish_to_all() -> None:
        for number in range(200):
            publish(publisher, number, queue=f"q{number % 4}")

    thread = threading.Thread(target=publish_to_all)
    thread.start()
    for _ in range(200):
        drain_any([connection for connection, _ in consumers], timeout=PATIENCE)
    thread.join(PATIENCE)
    assert Counter(body for _, seen in consumers for body in seen) == Counter(range(200))
    for connection, _ in consumers:
        connection.release()
    assert {left for left in set(threading.enumerate()) - before if not left.daemon} == set()


def test_a_loop_handles_one_event_in_each_step(connection: Connection) -> None:
    seen: list[Any] = []
    publish(connection, 1, 2, 3)
    with connection.Consumer(orders, no_ack=True, callbacks=[lambda body, message: seen.append(body)]):
        steps = eventloop(connection, limit=2, timeout=PATIENCE)
        next(steps)
        assert seen == [1]
        assert list(steps) == [None]
    assert seen == [1, 2]


def test_a_loop_without_an_event_times_out(connection: Connection) -> None:
    with connection.Consumer(orders), pytest.raises(TimeoutError):
        next(eventloop(connection, timeout=0.01))


def test_a_loop_that_ignores_timeouts_goes_on_after_them(connection: Connection) -> None:
    seen: list[Any] = []
    with connection.Consumer(orders, no_ack=True, callbacks=[lambda body, message: seen.append(body)]):
        steps = eventloop(connection, timeout=0, ignore_timeouts=True)
        next(steps)
        next(steps)
        publish(connection, "at last")
        next(steps)
    assert seen == ["at last"]


def test_a_loop_waits_on_several_channels_of_one_connection(connection: Connection) -> None:
    seen: list[Any] = []
    Queue("others")(connection).declare()
    for queue in ("orders", "others"):
        note: Callable[..., None] = lambda body, message, queue=queue: seen.append((queue, body))  # noqa: E731
        connection.Consumer(Queue(queue), connection.channel(), no_ack=True, callbacks=[note]).consume()
        publish(connection, 1, queue=queue)
    assert sum(1 for _ in eventloop(connection, limit=2, timeout=PATIENCE)) == 2
    assert sorted(seen) == [("orders", 1), ("others", 1)]


def test_messages_are_iterated_over_with_their_bodies(connection: Connection, name: str) -> None:
    publish(connection, 1, 2, 3)
    bodies = []
    for body, message in itermessages(connection, None, orders, limit=None, timeout=0):
        message.ack()
        bodies.append(body)
    assert bodies == [1, 2, 3]


def test_the_iteration_ends_at_its_limit_and_leaves_the_rest(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    for _, message in itermessages(connection, connection.channel(), orders, limit=2):
        message.ack()
    nothing_comes(connection)
    assert take(connection).payload == 3


def test_the_iteration_over_an_empty_queue_ends_at_its_timeout(connection: Connection) -> None:
    assert list(itermessages(connection, None, orders, limit=5, timeout=0.01)) == []


def test_messages_of_other_consumers_do_not_put_off_the_end(connection: Connection) -> None:
    def pass_on(body: object, message: object) -> None:
        publish(connection, "again", queue="others")

    Queue("others")(connection).declare()
    publish(connection, "first", queue="others")
    with connection.Consumer(Queue("others"), callbacks=[pass_on], no_ack=True):
        assert list(itermessages(connection, None, orders, timeout=0.05)) == []


def test_callbacks_are_called_before_the_message_is_yielded(connection: Connection) -> None:
    publish(connection, 1)
    called: list[Any] = []
    for body, message in itermessages(
        connection, None, orders, callbacks=[lambda body, message: (called.append(body), message.ack())]
    ):
        assert called == [body]
        assert message.acknowledged


def test_an_iteration_that_is_given_up_gives_back_what_it_did_not_yield(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    messages = itermessages(connection, connection.channel(), orders, limit=None)
    body, message = next(messages)
    connection.drain_events(timeout=PATIENCE)  # somebody else's drain, which hands out the second one
    messages.close()
    message.ack()
    assert body == 1
    assert [take(connection).payload for _ in range(2)] == [2, 3]


def test_a_body_that_cannot_be_decoded_ends_the_iteration_and_stays(connection: Connection, name: str) -> None:
    publish(connection, b"{", content_type="application/json", content_encoding="utf-8")
    channel = connection.channel()
    with pytest.raises(DecodeError):
        next(itermessages(connection, channel, orders))
    channel.close()
    assert take(connection).body == b"{"


def test_draining_a_consumer_leaves_its_own_callbacks_as_they_were(connection: Connection) -> None:
    publish(connection, 1, 2)
    own: list[Message] = []
    consumer = connection.Consumer(orders, on_message=own.append)
    assert [body for body, _ in drain_consumer(consumer, limit=1)] == [1]
    with consumer:
        connection.drain_events(timeout=PATIENCE)
    assert [message.payload for message in own] == [2]


def test_a_consumer_without_a_queue_is_no_reason_to_hang(connection: Connection) -> None:
    assert list(drain_consumer(connection.Consumer([]), timeout=0.01)) == []
