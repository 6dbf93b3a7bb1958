"""The ORM store keeps every promise of a store, on the databases that are there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connections

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu_django.models import Binding, Exchange, Message, Queue
from kombu_django.store import DjangoStore


@pytest.fixture(autouse=True, scope="module")
def tables() -> None:
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def empty_tables() -> Iterator[None]:
    for model in (Message, Binding, Queue, Exchange):
        model.objects.all().delete()
    yield
    connections.close_all()


class TestOnSQLite(StoreConformance, TopologyConformance, BrowseConformance):
    def open_store(self) -> DjangoStore:
        store = DjangoStore("default")
        store.open()
        return store
