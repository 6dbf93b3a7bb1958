"""Connections and channels are lent from pools and come back in order; broken ones are not handed on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kombu import Connection, Message, Queue
from kombu.connection import ConnectionPool, PoolChannelContext
from kombu.exceptions import (
    ChannelLimitExceeded,
    ConnectionError,
    ConnectionLimitExceeded,
    NotBoundError,
    OperationalError,
)
from kombu.resource import PoolClosed
from tests.brokers import Recording, lost, recording, waking, within_patience
from tests.memory import Connect, counts, publish

orders = Queue("orders")


@pytest.fixture
def transport() -> type[Recording]:
    return recording()


@pytest.fixture
def pool(transport: type[Recording]) -> Iterator[ConnectionPool]:
    with Connection("h", transport=transport).Pool(limit=2) as pool:
        yield pool


def test_a_connection_comes_back_at_the_end_of_the_block_and_stays_open(
    pool: ConnectionPool, transport: type[Recording]
) -> None:
    with pool.acquire() as connection:
        assert (connection == pool.connection, connection is pool.connection) == (True, False)
        connection.connect()
    with pool.acquire() as again:
        assert (again is connection, again.connected) == (True, True)
    assert len(transport.made) == 1


def test_a_connection_is_not_opened_before_it_is_needed(pool: ConnectionPool, transport: type[Recording]) -> None:
    with pool.acquire(), pool.acquire():
        assert transport.made == []


def test_connections_may_be_opened_at_once(transport: type[Recording]) -> None:
    with Connection("h", transport=transport).Pool(limit=3, preload=2) as pool:
        assert len(transport.made) == 2
        assert pool.acquire().connected
    assert [made.connected for made in transport.made] == [False, False]


def test_connections_that_cannot_be_opened_at_once_fail_clearly() -> None:
    with pytest.raises(OperationalError, match="attempt 1"):
        Connection("memory://x", transport=waking(9)).Pool(limit=3, preload=2)


def test_a_pool_of_connections_has_its_own_error(pool: ConnectionPool) -> None:
    with pool.acquire(), pool.acquire():
        for options in ({}, {"block": True, "timeout": 0.01}):
            with pytest.raises(ConnectionLimitExceeded, match="all 2"):
                within_patience(lambda options=options: pool.acquire(**options))  # type: ignore[misc]
    assert pool.acquire().release() is None


def test_releasing_gives_back_and_closing_disconnects(pool: ConnectionPool, transport: type[Recording]) -> None:
    connection = pool.acquire()
    connection.connect()
    connection.close()
    connection.connect()
    connection.release()
    connection.release()
    assert [made.connected for made in transport.made] == [False, True]
    assert pool.acquire() is connection
    assert pool.acquire() is not connection


def test_a_copy_of_a_pooled_connection_is_not_the_pool_s(pool: ConnectionPool, transport: type[Recording]) -> None:
    with pool.acquire() as connection, connection.clone() as copy:
        copy.connect()
    assert [made.connected for made in transport.made] == [False]


@pytest.mark.parametrize("trouble", ["lost", "consuming", "error"])
def test_one_that_is_broken_or_in_use_is_not_handed_on(
    trouble: str, pool: ConnectionPool, transport: type[Recording]
) -> None:
    connection = pool.acquire()
    connection.connect()
    made = transport.made[0]
    made.failing["close"] = OperationalError("broken pipe")
    if trouble == "error":
        with pytest.raises(ConnectionError), connection:
            lost()
    else:
        made.connected, made.consuming = trouble != "lost", trouble == "consuming"
        connection.release()
    with pool.acquire() as again:
        assert not again.connected
        again.drain_events(timeout=0)
    assert ("close" in made.events, len(transport.made)) == (True, 2)


def test_messages_of_a_consumer_that_was_left_behind_go_to_others(connect: Connect, name: str) -> None:
    orders(connect()).declare()
    publish(connect(), 1)
    with connect().Pool(limit=1) as pool:
        connection = pool.acquire()
        connection.Consumer(orders, on_message=lambda message: None).consume()
        connection.drain_events(timeout=0)
        connection.release()
        assert (counts(name).ready, counts(name).leased) == (1, 0)


def test_without_a_limit_connections_are_closed_after_use(transport: type[Recording]) -> None:
    with Connection("h", transport=transport).Pool() as pool:
        for _ in range(3):
            with pool.acquire() as connection:
                connection.connect()
        assert [made.connected for made in transport.made] == [False] * 3


def test_one_that_the_pool_gave_up_is_closed_by_its_user(pool: ConnectionPool, transport: type[Recording]) -> None:
    connection = pool.acquire()
    pool.force_close_all()
    connection.connect()
    connection.release()
    assert [made.connected for made in transport.made] == [False]
    with pytest.raises(PoolClosed):
        pool.acquire()


def test_replacing_a_connection_closes_it_without_an_error(pool: ConnectionPool, transport: type[Recording]) -> None:
    connection = pool.acquire()
    connection.connect()
    transport.made[0].failing["close"] = OperationalError("broken pipe")
    pool.replace(connection)
    assert pool.acquire() is not connection


def test_a_connection_and_its_channel_are_lent_together(pool: ConnectionPool) -> None:
    with pool.acquire_channel(block=True, timeout=1) as (connection, channel):
        assert channel is connection.default_channel
    context = PoolChannelContext(pool)
    with context as (outer, _), context as (inner, _):
        assert outer is not inner
        with pytest.raises(ConnectionLimitExceeded):
            context.__enter__()
    assert len(pool._lent) == 0


def test_a_channel_that_cannot_be_opened_gives_its_connection_back(transport: type[Recording]) -> None:
    with Connection("memory://x", transport=waking(9)).Pool(limit=1) as pool:
        for _ in range(2):
            with pytest.raises(OperationalError), PoolChannelContext(pool):
                pass


def test_channels_are_lent_and_come_back_open(connection: Connection) -> None:
    orders(connection).declare()
    with connection.ChannelPool(limit=2) as pool:
        with pool.acquire() as channel:
            connection.Producer(channel).publish(1, routing_key="orders")
            assert channel.queue_declare("orders", passive=True).message_count == 1
        with pool.acquire() as again, pool.acquire() as another:
            assert (again is channel, another is channel, again.is_open) == (True, False, True)
            with pytest.raises(ChannelLimitExceeded):
                pool.acquire()
    assert not channel.is_open
    assert connection.connected


def test_channels_that_were_lost_are_opened_again(connection: Connection) -> None:
    with connection.ChannelPool(limit=1, preload=1) as pool:
        with pool.acquire() as channel:
            connection.reconnect()
            assert not channel.is_open
        with pool.acquire() as channel:
            assert channel.is_open
            channel.close()
            with pytest.raises(NotBoundError, match="queue_declare"):
                channel.queue_declare("orders")
        with pool.acquire() as channel:
            assert channel.is_open


def test_a_pool_of_channels_of_a_lost_connection_can_be_closed() -> None:
    transport = recording()
    pool = Connection("h", transport=transport).ChannelPool(limit=2, preload=2)
    transport.made[0].failing["channel.close"] = ConnectionError("gone")
    pool.force_close_all()
    assert transport.made[0].events.count("channel.close") == 2


def test_a_consumer_on_a_pooled_connection_works_as_on_any(connect: Connect) -> None:
    seen: list[Message] = []
    with connect().Pool(limit=1) as pool, pool.acquire() as connection:
        with connection.Consumer(orders, on_message=seen.append):
            publish(connection, 1)
            connection.drain_events(timeout=0)
        seen[0].ack()
