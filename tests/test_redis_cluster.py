"""A cluster: keys of a queue in one slot, what is about several queues in steps that can be repeated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kombu import Connection, Exchange, Queue
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
from tests import redises
from tests.redis_groups import Clustered
from tests.transport_subjects import OnRedis

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
