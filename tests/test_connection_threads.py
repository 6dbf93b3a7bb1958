"""One connection is shared between threads, and nobody waits longer than he said."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import ConnectionError, OperationalError
from kombu.transport.base import Channel
from tests.brokers import Deaf, deaf, lost, recording, within_patience
from tests.memory import PATIENCE, Connect, counts

orders = Queue("orders")
SOON = 0.2
"""Seconds that a caller is ready to wait; what ignores that waits for ever, or for a minute."""


@pytest.fixture
def silent() -> type[Deaf]:
    return deaf()


def all_at_once(count: int, call: Callable[[], object]) -> list[object]:
    """What ``count`` threads get that call it at the same moment."""
    together = threading.Barrier(count)

    def run(_: int) -> object:
        together.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count), timeout=PATIENCE))


def test_threads_that_connect_at_once_make_one_connection(silent: type[Deaf], name: str) -> None:
    with Connection(f"memory://{name}", transport=silent, connect_timeout=PATIENCE) as connection:
        release = threading.Timer(0.05, silent.told.set)
        release.start()
        made = all_at_once(5, connection.connect)
        assert len({id(each) for each in made}) == len(silent.patience) == 1


def test_threads_share_one_default_channel() -> None:
    transport = recording()
    connection = Connection("h", transport=transport)
    channels = all_at_once(8, lambda: connection.default_channel)
    assert len({id(channel) for channel in channels}) == 1
    assert transport.made[0].events == ["channel"]


def test_threads_publish_through_one_connection(connection: Connection, name: str) -> None:
    orders(connection).declare()
    connection.reconnect()
    producer = connection.Producer(routing_key="orders")
    all_at_once(8, lambda: [producer.publish(number) for number in range(25)])
    all_at_once(4, lambda: connection.Producer(connection.channel()).publish(1, routing_key="orders"))
    assert counts(name).ready == 204


def test_connecting_keeps_to_its_timeout_when_the_broker_says_nothing(silent: type[Deaf]) -> None:
    connection = Connection("memory://x", transport=silent, connect_timeout=60)
    with pytest.raises(OperationalError, match="no answer"):
        within_patience(lambda: connection.ensure_connection(timeout=SOON, interval_start=0, interval_step=0))
    assert max(silent.patience) <= SOON


def test_each_attempt_takes_the_connect_timeout_at_most(silent: type[Deaf]) -> None:
    connection = Connection("memory://x;memory://y", transport=silent, connect_timeout=0.01)
    with pytest.raises(OperationalError):
        connection.ensure_connection(timeout=60, max_retries=3, interval_start=0, interval_step=0)
    with pytest.raises(OperationalError):
        connection.connect()
    assert silent.patience == [0.01] * 6


def test_ensuring_keeps_to_its_timeout_when_the_broker_says_nothing(silent: type[Deaf], name: str) -> None:
    silent.told.set()
    with Connection(f"memory://{name}", transport=silent, connect_timeout=60) as connection:
        producer = connection.Producer()
        connection.connect()
        silent.told.clear()
        with pytest.raises(OperationalError, match="no answer"):
            within_patience(connection.ensure(producer, lost, timeout=SOON, interval_start=0, interval_step=0))
        assert max(silent.patience[1:]) <= SOON


def test_the_default_channel_keeps_to_the_timeout_of_its_options(silent: type[Deaf]) -> None:
    url = f"memory://x?connect_retries_timeout={SOON}&interval_start=0&interval_step=0&connect_timeout=60"
    with pytest.raises(OperationalError, match="no answer"):
        within_patience(lambda: Connection(url, transport=silent).default_channel)


def test_draining_keeps_to_its_timeout_when_it_has_to_connect_first(silent: type[Deaf]) -> None:
    connection = Connection("memory://x", transport=silent, connect_timeout=60)
    with pytest.raises(OperationalError, match="no answer"):
        within_patience(lambda: connection.drain_events(timeout=SOON))


def test_a_thread_that_waits_for_another_to_connect_keeps_to_its_timeout(silent: type[Deaf], name: str) -> None:
    with (
        Connection(f"memory://{name}", transport=silent, connect_timeout=PATIENCE) as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(connection.connect)
        silent.asked.wait(PATIENCE)
        with pytest.raises(OperationalError, match="another thread is still connecting"):
            within_patience(lambda: connection.ensure_connection(timeout=SOON, interval_start=0, interval_step=0))
        silent.told.set()
        assert slow.result(PATIENCE).connected


def test_an_interrupt_does_not_wait_for_a_thread_that_is_connecting(silent: type[Deaf], name: str) -> None:
    with (
        Connection(f"memory://{name}", transport=silent, connect_timeout=PATIENCE) as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        draining = threads.submit(connection.drain_events)
        silent.asked.wait(PATIENCE)
        connection.interrupt()
        silent.told.set()
        with pytest.raises(TimeoutError, match="interrupted"):
            draining.result(PATIENCE)


def test_an_interrupt_ends_a_drain_that_waits(connection: Connection) -> None:
    with connection.Consumer(orders, on_message=Message.ack), ThreadPoolExecutor(1) as threads:
        draining = threads.submit(connection.drain_events)
        connection.interrupt()
        with pytest.raises(TimeoutError, match="interrupted"):
            draining.result(PATIENCE)


def test_a_drain_ends_when_another_thread_gives_the_connection_up(connection: Connection) -> None:
    waiting = threading.Event()

    def drain() -> None:
        waiting.set()
        while True:
            try:
                connection.drain_events()
            except TimeoutError:
                continue

    with connection.Consumer(orders, on_message=Message.ack), ThreadPoolExecutor(1) as threads:
        draining = threads.submit(drain)
        waiting.wait(PATIENCE)
        connection.reconnect()
        with pytest.raises(ConnectionError, match="replaced"):
            draining.result(PATIENCE)


def test_threads_that_ensure_what_failed_for_all_of_them_all_succeed(connect: Connect) -> None:
    connection = connect()
    connection.connect()

    def work() -> Channel:
        calls: list[int] = []

        def fun(channel: Channel) -> Channel:
            calls.append(1)
            if len(calls) == 1:
                lost()
            return channel

        return connection.autoretry(fun, interval_start=0, interval_step=0, max_retries=3)()[0]

    assert len(all_at_once(6, work)) == 6
    assert connection.connected
