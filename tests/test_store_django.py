"""The ORM store keeps every promise of a store, on each database that it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
from django.db import connections, transaction

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu.transport.virtual.store import Done
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

    def test_renewing_leases_does_not_wait_for_a_transaction_that_settles_some_of_them(self) -> None:
        self.put("a", "b")
        a, b = (delivery.lease for delivery in self.take(2))
        with transaction.atomic(using=self.alias):
            assert self.store.settle([Done(b)]) == [True]
            assert self.at_once([partial(self.store.extend, [a, b], 60.0)]) == [[a, b]]
            transaction.set_rollback(True, using=self.alias)
        assert self.store.settle([Done(a), Done(b)]) == [True, True]

    def test_the_limit_holds_however_few_messages_the_planner_expects(self) -> None:
        """It then puts the subquery that chooses into an inner loop: https://www.postgresql.org/docs/15/using-explain.html"""
        self.put("a", ttl=0.0)
        with connections[self.alias].cursor() as cursor:
            cursor.execute("VACUUM ANALYZE kombu_message")
        self.put(*map(str, range(20)), ttl=0.0)
        assert len(self.store.sweep(3, 60.0)) == 3
        assert len(self.claim(3)) == 3


def _then_disconnect(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()
