"""The program's pools: one for each connection that it names, within one limit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kombu import Connection, Exchange, Queue, pools
from kombu.connection import ChannelPool, ConnectionPool
from kombu.exceptions import (
    ConnectionError,
    ConnectionLimitExceeded,
    KombuError,
    LimitExceeded,
    NotBoundError,
)
from kombu.resource import PoolClosed
from tests.brokers import lost, recording, within_patience
from tests.memory import PATIENCE, Connect, counts

orders = Queue("orders")


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """The program's pools, empty before and after."""
    pools.reset()
    yield
    pools.reset()
    pools.set_limit(10)


def test_equal_connections_share_a_pool(connect: Connect, name: str) -> None:
    one, other = connect(), connect()
    assert pools.connections[one] is pools.connections[other]
    assert pools.producers[one] is pools.producers[other]
    assert pools.connections[one] is pools.producers[one].connections
    assert pools.connections[one] is not pools.connections[Connection(f"memory://{name}2")]


def test_the_connection_that_names_a_pool_is_not_used(connection: Connection) -> None:
    with pools.connections[connection].acquire() as lent:
        lent.connect()
        connection.close()
        assert (lent.connected, connection.connected) == (True, False)


def test_threads_that_ask_at_once_get_one_pool(connection: Connection) -> None:
    together = threading.Barrier(8)

    def ask(_: int) -> pools.ProducerPool:
        together.wait(PATIENCE)
        return pools.producers[connection]

    with ThreadPoolExecutor(8) as threads:
        assert len(set(map(id, threads.map(ask, range(8))))) == 1


def test_a_producer_publishes_and_gives_its_connection_back(connection: Connection, name: str) -> None:
    orders(connection).declare()
    for number in range(3):
        with pools.producers[connection].acquire(block=True, timeout=1) as producer:
            producer.publish(number, routing_key="orders")
    assert counts(name).ready == 3
    assert repr(pools.connections[connection]) == "<ConnectionPool 0 of 10 in use>"


def test_a_producer_opens_no_connection_before_it_publishes() -> None:
    transport = recording()
    with pools.producers[Connection("h", transport=transport)].acquire():
        assert transport.made == []


def test_a_producer_declares_once_for_each_channel(connection: Connection) -> None:
    class Counted(Exchange):
        declared = 0

        def declare(self, *args: object, **options: object) -> None:
            Counted.declared += 1
            super().declare(*args, **options)  # type: ignore[arg-type]

    shop = Counted("shop")
    for _ in range(3):
        with pools.producers[connection].acquire() as producer:
            producer.publish(1, exchange=shop, declare=[shop])
    with pools.connections[connection].acquire() as lent:
        lent.reconnect()
    with pools.producers[connection].acquire() as producer:
        producer.publish(1, exchange=shop, declare=[shop])
    assert Counted.declared == 2


def test_a_producer_of_a_lost_connection_goes_on_with_another(connection: Connection) -> None:
    pool = pools.producers[connection]
    with pytest.raises(ConnectionError), pool.acquire() as producer:
        before = producer.channel
        lost()
    assert not before.is_open
    with pool.acquire() as again:
        assert again is producer
        assert again.channel.is_open


def test_a_producer_that_was_given_back_has_no_connection(connection: Connection) -> None:
    with pools.producers[connection].acquire() as producer:
        pass
    producer.release()
    with pytest.raises(NotBoundError, match="acquire another"):
        producer.publish(1)


def test_a_pool_leaves_the_producers_of_others_alone(connection: Connection) -> None:
    ours, others = pools.producers[connection], pools.ProducerPool(connection.Pool(1), 1)
    with ours.acquire() as producer:
        others.release(producer)
        assert producer.channel.is_open
        assert "1 of 10 in use" in repr(ours)


def test_a_connection_that_cannot_be_given_back_takes_no_producer_along(connection: Connection) -> None:
    class Failing(ConnectionPool):
        def release_resource(self, resource: Connection) -> None:
            raise RuntimeError("no way back")

    producers = pools.ProducerPool(Failing(connection, 1), 1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no way back"), producers.acquire() as producer:
            assert producer.channel.is_open


def test_producers_are_limited_and_so_are_their_connections(connection: Connection) -> None:
    pools.set_limit(2)
    producers = pools.producers[connection]
    with producers.acquire(), pools.connections[connection].acquire(), pytest.raises(ConnectionLimitExceeded):
        within_patience(lambda: producers.acquire(block=True, timeout=0.01))
    with producers.acquire(), producers.acquire(), pytest.raises(LimitExceeded):
        producers.acquire()


def test_the_limit_is_the_whole_program_s(connection: Connection) -> None:
    assert pools.get_limit() == 10
    before = pools.connections[connection]
    assert pools.set_limit(3) == 3
    assert (before.limit, pools.producers[connection].limit, pools.get_limit()) == (3, 3, 3)
    assert pools.set_limit(None) == 0
    assert pools.get_limit() == before.limit == 0
    with pytest.raises(ValueError, match="limit=-1"):
        pools.set_limit(-1)


def test_the_limit_does_not_go_below_what_is_in_use_unless_forced(connection: Connection) -> None:
    pool = pools.connections[connection]
    with pool.acquire(), pool.acquire():
        with pytest.raises(KombuError, match="limit=1, but 2 are in use"):
            pools.set_limit(1)
        assert pools.get_limit() == 10
        assert pools.set_limit(1, force=True) == 1
    assert len(pool._idle) == 1


def test_setting_the_limit_may_close_what_is_pooled(connection: Connection) -> None:
    with pools.connections[connection].acquire() as lent:
        lent.connect()
    pools.set_limit(10, reset_after=True)
    assert not lent.connected


def test_a_group_may_have_a_limit_of_its_own(connection: Connection) -> None:
    own = pools.register_group(pools.Connections(limit=1))
    try:
        pools.set_limit(5)
        assert own[connection].limit == 1
        with own[connection].acquire() as lent:
            lent.connect()
        pools.reset()
        assert (lent.connected, len(own)) == (False, 0)
    finally:
        pools._groups.remove(own)


def test_resetting_closes_what_is_in_use_and_begins_anew(connection: Connection) -> None:
    before = pools.producers[connection]
    producer = before.acquire()
    channel = producer.channel
    pools.reset()
    assert not channel.is_open
    producer.release()
    with pytest.raises(PoolClosed):
        before.acquire()
    assert pools.producers[connection] is not before


def test_a_group_has_to_say_how_to_make_a_pool(connection: Connection) -> None:
    with pytest.raises(NotImplementedError, match="PoolGroup"):
        pools.PoolGroup[ChannelPool]()[connection]


def test_threads_publish_through_the_pool(connection: Connection, name: str) -> None:
    orders(connection).declare()
    pools.set_limit(3)

    def work(number: int) -> None:
        for _ in range(10):
            with pools.producers[connection].acquire(block=True, timeout=PATIENCE) as producer:
                producer.publish(number, routing_key="orders")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert counts(name).ready == 80
