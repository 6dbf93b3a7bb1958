"""The ORM store keeps every promise of a store."""

from __future__ import annotations

import pytest

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu_django.store import DjangoStore


@pytest.mark.usefixtures("tables")
class TestOnSQLite(StoreConformance, TopologyConformance, BrowseConformance):
    def open_store(self) -> DjangoStore:
        store = DjangoStore("default")
        store.open()
        return store
