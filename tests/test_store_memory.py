"""The memory store keeps every promise of the seam."""

from __future__ import annotations

from uuid import uuid4

from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from kombu.transport.memory import MemoryStore


class TestMemoryStore(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    def setup_method(self) -> None:
        super().setup_method()
        self.name = uuid4().hex

    def teardown_method(self) -> None:
        super().teardown_method()
        MemoryStore.reset(self.name)

    def open_store(self) -> MemoryStore:
        store = MemoryStore(self.name)
        store.open()
        return store
