"""A cluster: keys of a queue in one slot, what is about several queues in steps that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kombu import Connection, Exchange, Message, Queue
from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from kombu.transport.redis import RedisStore
from kombu.transport.redis.keys import Keys
from kombu.transport.virtual.store import Envelope, QueueSpec
from tests import redises, servers
from tests.redis_groups import Clustered
from tests.transport_subjects import OnRedis

LONG = 30.0

pytestmark = pytest.mark.server("redis")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Clustered]:
    with Clustered() as made:
        yield made


class TestStore(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    cluster: Clustered

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Clustered) -> None:
        self.cluster = cluster
        self.prefix = redises.new_prefix()

    def open_store(self) -> RedisStore:
        store = redises.store(self.cluster.url(), self.prefix)
        store.open()
        return store


class TestTransport(OnRedis):
    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Clustered) -> None:
        self.address = f"{cluster.url()}/"


def test_the_keys_of_a_queue_are_in_one_place_and_all_go_with_it(cluster: Clustered) -> None:
    prefix = redises.new_prefix()
    with Connection(f"{cluster.url()}/?global_keyprefix={prefix}") as connection:
        shop, queues = (
            Exchange("shop", "fanout"),
            [Queue(f"q{number}", Exchange("shop", "fanout")) for number in range(9)],
        )
        for queue in queues:
            queue(connection).declare()
        connection.Producer().publish("to all", exchange=shop)
        for queue in queues:
            message = queue(connection).get()
            assert message is not None
            message.ack()
        shop(connection).delete()
        for queue in queues:
            queue(connection).delete()
    assert [key for key in cluster.keys(prefix) if "topology" not in key] == []


def test_a_slot_that_has_moved_is_found_again(cluster: Clustered) -> None:
    """The client asks the server that had it, which tells where it is."""
    store = redises.store(cluster.url(), redises.new_prefix())
    store.open()
    store.declare(QueueSpec(name="moving"))
    link = store._link
    link._slots = [(0, 16383, (servers.HOST, node.port)) for node in cluster.masters[:1]]  # type: ignore[attr-defined]
    assert [count.total for count in store.counts(["moving", "b", "c"]).values()] == [0]
    store.put([("moving", Envelope("{}", b"a"))])
    assert store.counts(["moving"])["moving"].ready == 1
    store.delete("moving")
    store.close()


def test_when_a_master_fails_its_replica_takes_over_and_nothing_that_it_had_confirmed_is_lost() -> None:
    options = {"wait_replicas": 1, "wait_timeout": 5, "lease": 3}
    with Clustered(replicated=True) as own, Connection(own.url(), transport_options=options) as connection:
        queue = Queue("orders")
        queue(connection).declare()
        producer = connection.Producer(routing_key="orders")
        for number in range(20):
            producer.publish(number)
        own.master_of(Keys().queue("orders")).kill()
        confirmed = list(range(20))
        later = {"max_retries": None, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.5}
        with Connection(own.url(), transport_options={"lease": 3}) as other:
            other.Producer(routing_key="orders").publish(20, retry=True, retry_policy=later, timeout=LONG)
            confirmed.append(20)
            seen: list[int] = []

            def handle(body: int, message: Message) -> None:
                seen.append(body)
                message.ack()

            with other.Consumer(queue, callbacks=[handle]):
                while len(seen) < len(confirmed):
                    other.drain_events(timeout=LONG)
        assert seen == confirmed
