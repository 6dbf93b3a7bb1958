"""Django's door prepares its statements on PostgreSQL, where that works, and goes on where they are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from kombu import Connection, Queue
from kombu.testing.case import QUEUE, message
from kombu.transport.virtual.store import QueueSpec
from kombu_django.store import DjangoStore
from tests import servers

pytestmark = [pytest.mark.server("postgresql"), pytest.mark.usefixtures("postgresql_tables")]


@pytest.fixture
def store() -> Iterator[DjangoStore]:
    store = DjangoStore("postgresql")
    store.open()
    store.declare(QueueSpec(name=QUEUE))
    yield store
    store.close()


def puts(store: DjangoStore, times: int) -> list[str]:
    """The first words of the statements that putting so many messages takes."""
    with CaptureQueriesContext(connections["postgresql"]) as statements:
        for _ in range(times):
            store.put([(QUEUE, message("a"))])
    return [each["sql"].split()[0] for each in statements if "pg_notify" not in each["sql"]]


def test_what_is_done_often_is_prepared_once(store: DjangoStore) -> None:
    assert puts(store, 6) == ["INSERT"] * 3 + ["PREPARE"] + ["EXECUTE"] * 3
    assert store.counts([QUEUE])[QUEUE].ready == 6


def test_a_connection_that_lost_what_it_prepared_goes_on(store: DjangoStore) -> None:
    puts(store, 5)
    with connections["postgresql"].cursor() as cursor:
        cursor.execute("DISCARD ALL")
    assert puts(store, 1) == ["EXECUTE", "INSERT"]
    assert store.counts([QUEUE])[QUEUE].ready == 6


def test_what_was_prepared_in_a_transaction_that_rolls_back_stays_so(store: DjangoStore) -> None:
    puts(store, 3)
    with transaction.atomic(using="postgresql"):
        assert puts(store, 1) == ["PREPARE", "EXECUTE"]
        transaction.set_rollback(True, using="postgresql")
    assert puts(store, 1) == ["EXECUTE"]
    assert store.counts([QUEUE])[QUEUE].ready == 4


@pytest.mark.server("pgbouncer")
def test_behind_a_pooler_nothing_is_prepared(store: DjangoStore) -> None:
    with _behind_the_pooler() as alias, Connection(f"django://{alias}") as connection:
        Queue(QUEUE)(connection)
        with CaptureQueriesContext(connections[alias]) as statements:
            for _ in range(6):
                connection.Producer().publish(1, QUEUE)
        assert not [each for each in statements if each["sql"].startswith(("PREPARE", "EXECUTE"))]
    assert store.counts([QUEUE])[QUEUE].ready == 6


@contextmanager
def _behind_the_pooler() -> Iterator[str]:
    direct = connections.databases["postgresql"]
    connections.databases["pooled"] = {**direct, "PORT": servers.PGBOUNCER_PORT, "DISABLE_SERVER_SIDE_CURSORS": True}
    try:
        yield "pooled"
    finally:
        connections["pooled"].close()
        del connections["pooled"], connections.databases["pooled"]
