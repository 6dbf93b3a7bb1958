"""The ORM store keeps every promise of a store, on each database that it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
from django.db import connections

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu_django.store import DjangoStore

T = TypeVar("T")


class DjangoConformance(StoreConformance, TopologyConformance, BrowseConformance):
    """``alias`` is the database."""

    alias: str

    def open_store(self) -> DjangoStore:
        store = DjangoStore(self.alias)
        store.open()
        return store

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Each thread closes its connections itself, as Django leaves it to who starts threads."""
        return super().at_once([partial(_then_disconnect, call) for call in calls])


@pytest.mark.usefixtures("tables")
class TestOnSQLite(DjangoConformance):
    alias = "default"


@pytest.mark.server("postgresql")
@pytest.mark.usefixtures("postgresql_tables")
class TestOnPostgreSQL(DjangoConformance):
    alias = "postgresql"


def _then_disconnect(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()
