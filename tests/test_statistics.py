"""What queues hold is told by one call, on every transport; that it is right is in the conformance suite."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kombu import Connection, Queue, aio
from kombu.exceptions import NotSupported
from kombu.transport.base import QueueStatistics, statistics_by_declaring
from tests.memory import Connect, publish, take

pytestmark = pytest.mark.usefixtures("orders_queue")


def test_all_numbers_are_told_of_a_store_that_knows_them(connect: Connect) -> None:
    one, other = connect(), connect()
    publish(one, 1, 2, 3)
    publish(one, 4, delay=60)
    take(other)
    with other.Consumer(Queue("orders"), on_message=print, auto_declare=False):
        told = one.statistics([Queue("orders"), "unknown", "orders"])
    [(name, found)] = told.items()
    assert (name, found.ready, found.delayed, found.leased, found.consumers) == ("orders", 2, 1, 1, 1)
    assert found.oldest is not None
    assert 0 <= found.oldest < 60


def test_without_names_all_queues_are_told_of(connection: Connection) -> None:
    Queue("others")(connection).declare()
    assert connection.statistics().keys() == {"orders", "others"}
    assert connection.statistics([]) == {}


def test_acknowledgements_that_are_owed_are_written_first(connection: Connection) -> None:
    publish(connection, 1)
    take(connection).ack()
    assert connection.statistics()["orders"].leased == 0


def test_what_a_store_does_not_know_is_none(tmp_path: Path) -> None:
    """The example of a transport of one's own knows no consumers."""
    with Connection(f"examples.own_transport.Transport:///{tmp_path}/queues.sqlite3") as connection:
        Queue("orders")(connection).declare()
        assert connection.statistics()["orders"] == QueueStatistics(ready=0, delayed=0, leased=0)


def test_a_queue_whose_life_is_over_is_not_told_of(connect: Connect) -> None:
    one, other = connect(), connect()
    Queue("mine", exclusive=True)(one).declare()
    assert other.statistics(["mine"])["mine"].ready == 0
    one.release()
    assert other.statistics(["mine"]) == {}


def test_a_broker_that_knows_only_amqp_is_asked_by_declaring(connect: Connect) -> None:
    one, other = connect(), connect()
    publish(one, 1, 2)
    Queue("mine", exclusive=True)(other).declare()
    with other.Consumer(Queue("orders"), on_message=print, auto_declare=False):
        told = statistics_by_declaring(one.connection, ["orders", "unknown", "mine"], "native")
    assert told == {"orders": QueueStatistics(ready=2, consumers=1), "mine": QueueStatistics()}
    with pytest.raises(NotSupported, match=r"'native' cannot list the queues here, name them"):
        statistics_by_declaring(one.connection, None, "native")


def test_a_pools_connection_and_an_asynchronous_one_tell_the_same(connection: Connection, name: str) -> None:
    publish(connection, 1)
    with connection.Pool(limit=1) as pool, pool.acquire() as pooled:
        assert pooled.statistics()["orders"].ready == 1

    async def ask() -> QueueStatistics:
        async with aio.Connection(f"memory://{name}") as asynchronous:
            return (await asynchronous.run(lambda blocking: blocking.statistics()))["orders"]

    assert asyncio.run(ask()).ready == 1
