"""The store in MongoDB keeps every promise of a store."""

from __future__ import annotations

from collections.abc import Iterator
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
from tests import mongodb

if TYPE_CHECKING:
    from kombu.transport.mongodb import MongoStore


@pytest.mark.server("mongodb")
class TestMongoStore(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    brief = 0.3
    patience = 60.0
    """The server of the tests reads a whole collection for each claim."""

    @pytest.fixture(autouse=True)
    def _database(self) -> Iterator[None]:
        with mongodb.database() as self.database:
            yield

    def open_store(self) -> MongoStore:
        store = mongodb.new_store(self.database)
        store.open()
        return store
