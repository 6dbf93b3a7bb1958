"""The store on CouchDB keeps every promise of a store that can be kept there."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu.transport.couchdb import CouchDBStore
from kombu.transport.couchdb.http import Database
from tests import couchdb


@pytest.mark.server("couchdb")
class TestCouchDBStore(StoreConformance, TopologyConformance, BrowseConformance):
    def setup_method(self) -> None:
        super().setup_method()
        self.name = f"kombu-{uuid4().hex}"

    def teardown_method(self) -> None:
        super().teardown_method()
        couchdb.drop(self.name)

    def open_store(self) -> CouchDBStore:
        store = CouchDBStore(partial(Database, couchdb.url().rstrip("/"), self.name, None, None, True, 5.0, 20.0))
        store.open()
        return store
