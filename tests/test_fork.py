"""A forked child leaves the parent's connections alone, and works with its own."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kombu import Connection, Message, Queue, pools
from kombu.connection import ConnectionPool
from kombu.exceptions import ConnectionError, LimitExceeded
from tests.brokers import RecordedConnection, Recording, recording
from tests.memory import PATIENCE, Connect, counts

orders = Queue("orders")

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def in_a_child(work: Callable[[], object]) -> Any:
    """What ``work`` returns in a forked child, or its traceback as an error; the child is killed when it hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE))
        try:
            answer = (True, work())
        except BaseException:  # noqa: BLE001 - shown in the parent
            answer = (False, traceback.format_exc())
        os.write(writing, pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answered = pipe.read()
    os.waitpid(child, 0)
    assert answered, "the child hangs"
    worked, result = pickle.loads(answered)
    assert worked, result
    return result


@pytest.fixture
def transport() -> type[Recording]:
    return recording()


@pytest.fixture
def shared(transport: type[Recording]) -> Iterator[Connection]:
    """Connected, with a channel, before the fork."""
    with Connection("h", transport=transport) as connection:
        assert connection.default_channel.is_open
        yield connection


def test_a_child_uses_a_connection_of_its_own(shared: Connection, transport: type[Recording]) -> None:
    inherited = shared.default_channel

    def work() -> object:
        before = shared.connected
        another = shared.default_channel is not inherited
        return before, another, len(transport.made), transport.made[0].events, transport.made[1].events

    assert in_a_child(work) == (False, True, 2, ["channel"], ["channel"])
    assert (shared.default_channel is inherited, len(transport.made)) == (True, 1)


def test_a_child_never_closes_the_parent_s_connection(transport: type[Recording]) -> None:
    finalised: list[int] = []

    class Careless(RecordedConnection):
        """A driver that says goodbye to the broker when it is forgotten."""

        def __del__(self) -> None:
            finalised.append(1)

    def establish_connection(self: Recording) -> Careless:
        return Careless(self.address)

    connection: Connection | None = Connection("h", transport=recording(establish_connection=establish_connection))
    assert connection is not None
    pool = connection.Pool(limit=1, preload=1)
    connection.connect()

    def work() -> object:
        nonlocal connection
        assert connection is not None
        connection.close()
        connection.reconnect()
        connection.collect()
        pool.force_close_all()
        connection = None
        gc.collect()
        return finalised

    assert in_a_child(work) == []
    assert finalised == []
    assert connection is not None
    pool.force_close_all()
    connection.close()


def test_a_child_s_work_and_the_parent_s_do_not_meet(connect: Connect, name: str) -> None:
    connection = connect()
    orders(connection).declare()
    producer = connection.Producer(routing_key="orders")
    producer.publish("before")

    def work() -> object:
        with connection:
            connection.Producer().publish("in the child", routing_key="orders")
            return counts(name).ready

    assert in_a_child(work) == 2
    producer.publish("after")
    assert counts(name).ready == 2


def test_a_child_s_first_drain_says_that_the_consumers_are_the_parent_s(connection: Connection) -> None:
    seen: list[Message] = []

    def work() -> object:
        with pytest.raises(ConnectionError, match="replaced"):
            connection.drain_events(timeout=0)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        return len(seen)

    with connection.Consumer(orders, on_message=seen.append):
        connection.Producer().publish(1, routing_key="orders")
        assert in_a_child(work) == 0
        connection.drain_events(timeout=0)
    assert len(seen) == 1


def test_a_child_does_not_wait_for_a_thread_of_the_parent_that_was_connecting() -> None:
    entered, leave = threading.Event(), threading.Event()
    parent = os.getpid()

    def establish_connection(self: Recording) -> RecordedConnection:
        if os.getpid() == parent:
            entered.set()
            leave.wait(PATIENCE)
        return RecordedConnection(self.address)

    connection = Connection("h", transport=recording(establish_connection=establish_connection))
    thread = threading.Thread(target=connection.connect)
    thread.start()
    entered.wait(PATIENCE)
    try:
        assert in_a_child(lambda: connection.connect().connected) is True
    finally:
        leave.set()
        thread.join(PATIENCE)
    connection.close()


def test_an_interrupt_of_the_parent_is_not_the_child_s(transport: type[Recording]) -> None:
    connection = Connection("h", transport=transport)
    connection.interrupt()
    assert in_a_child(lambda: connection.drain_events(timeout=1)) is None
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=1)


def test_a_child_s_pool_begins_empty_with_its_whole_limit(transport: type[Recording]) -> None:
    pool = Connection("h", transport=transport).Pool(limit=2, preload=2)
    lent = pool.acquire()

    def work() -> object:
        lent.release()
        own = [pool.acquire(), pool.acquire()]
        with pytest.raises(LimitExceeded):
            pool.acquire()
        connected = [connection.connected for connection in own]
        for connection in own:
            connection.connect()
            connection.release()
        pool.force_close_all()
        return connected, any(lent is each for each in own), [made.events for made in transport.made]

    assert in_a_child(work) == ([False, False], False, [[], [], ["close"], ["close"]])
    with pool.acquire() as other:
        assert (lent.connected, other.connected) == (True, True)
        with pytest.raises(LimitExceeded):
            pool.acquire()
    lent.release()
    pool.force_close_all()
    assert [made.events for made in transport.made] == [["close"], ["close"]]


def test_one_that_was_lent_across_the_fork_is_closed_by_the_child_that_used_it(transport: type[Recording]) -> None:
    pool = Connection("h", transport=transport).Pool(limit=1)

    def work() -> object:
        lent.connect()
        lent.release()
        return [made.events for made in transport.made]

    with pool.acquire() as lent:
        lent.connect()
        assert in_a_child(work) == [[], ["close"]]
    pool.force_close_all()


def test_a_pool_may_be_kept_across_a_fork(transport: type[Recording]) -> None:
    pool = ConnectionPool(Connection("h", transport=transport), limit=1, close_after_fork=False)
    with pool.acquire() as lent:
        lent.connect()

    def work() -> object:
        with pool.acquire() as same:
            return same is lent, same.connected, transport.made[0].events

    assert in_a_child(work) == (True, False, [])
    pool.force_close_all()


def test_a_child_does_not_wait_for_threads_of_the_parent_that_use_a_pool(transport: type[Recording]) -> None:
    pool = Connection("h", transport=transport).Pool(limit=1)
    locked, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with pool._changed:
            locked.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait(PATIENCE)
    try:
        assert in_a_child(lambda: pool.acquire().connected) is False
    finally:
        leave.set()
        thread.join(PATIENCE)


def test_the_program_s_pools_begin_empty_in_a_child(transport: type[Recording]) -> None:
    pools.reset()
    connection = Connection("h", transport=transport)
    producer = pools.producers[connection].acquire()
    assert producer.channel.is_open
    parents = producer.channel

    def work() -> object:
        with pools.producers[connection].acquire() as own:
            fresh = own is not producer and own.channel is not parents
        used = producer.channel is not parents
        producer.release()
        return fresh, used, repr(pools.producers[connection]), [made.events for made in transport.made]

    assert in_a_child(work) == (
        True,
        True,
        "<ProducerPool 0 of 10 in use>",
        [["channel"], ["channel"], ["channel", "close"]],
    )
    assert producer.channel is parents
    producer.release()
    pools.reset()


def test_the_child_of_a_child_is_a_child_too(shared: Connection, transport: type[Recording]) -> None:
    def work() -> object:
        shared.connect()
        return in_a_child(lambda: (shared.connected, shared.connect() is transport.made[2], len(transport.made)))

    assert in_a_child(work) == (False, True, 3)
