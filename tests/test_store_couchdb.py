"""The store on CouchDB keeps every promise of a store that can be kept there."""

from __future__ import annotations

from uuid import uuid4

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
from kombu.transport.couchdb import CouchDBStore
from tests import couchdb


@pytest.mark.server("couchdb")
class TestCouchDBStore(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    brief = 0.4
    patience = 60.0
    """CouchDB's stand-in takes its time on a busy machine."""

    def setup_method(self) -> None:
        super().setup_method()
        self.name = f"kombu-{uuid4().hex}"

    def teardown_method(self) -> None:
        super().teardown_method()
        couchdb.drop(self.name)

    def open_store(self) -> CouchDBStore:
        return couchdb.new_store(self.name)
