"""The store in a folder keeps every promise of the seam."""

from __future__ import annotations

from pathlib import Path

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
from kombu.transport.filesystem import FileStore


class OfFolders(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    sync: bool

    @pytest.fixture(autouse=True)
    def _spool(self, tmp_path: Path) -> None:
        self.path = tmp_path / "spool"

    def open_store(self) -> FileStore:
        store = FileStore(str(self.path), sync=self.sync)
        store.open()
        return store


class TestFileStore(OfFolders):
    sync = False
