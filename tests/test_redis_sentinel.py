"""Sentinels: who the master is, and that a failover loses nothing that replicas had confirmed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from kombu import Connection, Queue
from kombu.exceptions import InvalidURL, OperationalError, PublishUncertain
from kombu.testing.transports.operating import OperatingConformance
from kombu.testing.transports.routing import RoutingConformance
from kombu.testing.transports.settling import SettlingConformance
from kombu.transport.redis import SentinelTransport
from tests import servers
from tests.redis_groups import MASTER, Watched
from tests.transport_subjects import RedisCase

pytestmark = pytest.mark.server("redis")

CONFIRMED = {"wait_replicas": 1, "wait_timeout": 5, "lease": 3}
AT_ONCE = {"interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.5}
LONG = 30.0


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched() as made:
        yield made


class TestTransport(RedisCase, RoutingConformance, SettlingConformance, OperatingConformance):
    """What differs is who is connected to: the whole suite runs on one server, and on a cluster."""

    @pytest.fixture(autouse=True)
    def _sentinels(self, watched: Watched) -> None:
        self.watched = watched

    def url(self) -> str:
        sentinel = self.watched.sentinels[0]
        return f"sentinel://{servers.HOST}:{sentinel.port}/0?master_name={MASTER}&global_keyprefix={self.prefix}"


def test_a_failover_loses_nothing_that_a_replica_had_confirmed() -> None:
    with Watched() as watched, Connection(watched.url(), transport_options=CONFIRMED) as connection:
        queue = Queue("orders")
        queue(connection).declare()
        producer = connection.Producer(routing_key="orders")
        confirmed = list(range(50))
        for number in confirmed:
            producer.publish(number)
        first = watched.master()
        first.kill()
        watched.eventually(lambda: watched.master() is not first)
        assert received(watched, len(confirmed)) == confirmed


def test_publishers_and_consumers_go_on_after_a_failover() -> None:
    with Watched() as watched, Connection(watched.url(), transport_options={"lease": 3}) as connection:
        queue = Queue("orders")
        queue(connection).declare()
        connection.Producer(routing_key="orders").publish("before")
        seen: list[object] = []

        def handle(body: object, message: object) -> None:
            seen.append(body)
            message.ack()  # type: ignore[attr-defined]

        with Connection(watched.url(), transport_options={"lease": 3}) as other:
            consumer = other.Consumer(queue, callbacks=[handle])
            consumer.consume()
            first = watched.master()
            while "before" not in seen:
                other.drain_events(timeout=LONG)
            first.kill()
            connection.Producer(routing_key="orders").publish(
                "after", retry=True, retry_policy=AT_ONCE, declare=[queue], timeout=LONG
            )
            deadline = time.monotonic() + LONG
            drain = other.ensure(consumer, lambda: other.drain_events(timeout=1), **AT_ONCE)
            while "after" not in seen:
                assert time.monotonic() < deadline
                try:
                    drain()
                except TimeoutError:
                    continue
        assert watched.master() is not first


def test_what_too_few_replicas_confirm_is_uncertain(watched: Watched) -> None:
    options = {"wait_replicas": 2, "wait_timeout": 0.2}
    with Connection(watched.url()) as quick:
        Queue("uncertain")(quick).declare()
    with Connection(watched.url(), transport_options=options) as connection:
        with pytest.raises(PublishUncertain, match="only 1 of 2 replicas"):
            connection.Producer(routing_key="uncertain").publish("a")
        assert Queue("uncertain")(connection).get(no_ack=True).payload == "a"
    with Connection(watched.url()) as connection:
        Queue("uncertain")(connection).delete()


def test_another_master_name_is_an_error_that_says_so(watched: Watched) -> None:
    sentinel = watched.sentinels[0]
    with pytest.raises(OperationalError, match="names no master 'other'"):
        Connection(f"sentinel://{servers.HOST}:{sentinel.port}/0?master_name=other").connect()


def test_without_a_master_name_there_is_nobody_to_connect_to() -> None:
    with pytest.raises(InvalidURL, match="master_name"):
        Connection("sentinel://localhost:26379/0").connect()


def test_the_next_sentinel_is_asked_when_one_is_away(watched: Watched) -> None:
    port = watched.sentinels[1].port
    url = f"sentinel://{servers.HOST}:1/0?master_name={MASTER};{servers.HOST}:{port}/0?master_name={MASTER}"
    with Connection(url) as connection:
        connection.ensure_connection(max_retries=3, interval_start=0)
        assert isinstance(connection.transport, SentinelTransport)


def received(watched: Watched, count: int) -> list[object]:
    """By a consumer that comes after the failover."""
    seen: list[object] = []

    def handle(body: object, message: object) -> None:
        seen.append(body)
        message.ack()  # type: ignore[attr-defined]

    with Connection(watched.url()) as connection:
        connection.ensure_connection(timeout=LONG, **AT_ONCE)
        with connection.Consumer(Queue("orders"), callbacks=[handle]):
            while len(seen) < count:
                connection.drain_events(timeout=LONG)
    return seen
