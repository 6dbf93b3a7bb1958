"""The Redis store keeps every promise of the seam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from tests import redises

if TYPE_CHECKING:
    from kombu.transport.redis import RedisStore


class RedisConformance(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    """``prefix`` is this test's own."""

    def setup_method(self) -> None:
        super().setup_method()
        self.prefix = redises.new_prefix()

    def open_store(self) -> RedisStore:
        store = redises.store(f"redis://{redises.ADDRESS}/0", self.prefix)
        store.open()
        return store

    def teardown_method(self) -> None:
        super().teardown_method()
        redises.remove(self.prefix)


@pytest.mark.server("redis")
class TestRedisStore(RedisConformance):
    pass
