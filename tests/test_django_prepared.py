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


def puts(store: DjangoStore, times: int) -> int:
    """Put so many messages; how many statements that store this thread's connection has prepared then."""
    for _ in range(times):
        store.put([(QUEUE, message("a"))])
    return prepared("postgresql")


def prepared(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE starts_with(statement, 'INSERT')")
        return int(cursor.fetchone()[0])


def test_what_was_prepared_in_a_transaction_that_rolled_back_is_there(store: DjangoStore) -> None:
    puts(store, 3)
    with transaction.atomic(using="postgresql"):
        assert puts(store, 2) == 1  # psycopg begins the transaction itself, with the first
        transaction.set_rollback(True, using="postgresql")
    assert puts(store, 5) == 1
    assert store.counts([QUEUE])[QUEUE].ready == 8


def test_the_applications_own_statements_are_prepared_as_it_says(store: DjangoStore) -> None:
    assert puts(store, 5) == 1
    for _ in range(10):
        with connections["postgresql"].cursor() as cursor:
            cursor.execute("SELECT 1")
    assert prepared("postgresql") == 1


def test_who_watches_sees_every_statement(store: DjangoStore) -> None:
    with CaptureQueriesContext(connections["postgresql"]) as statements:
        puts(store, 5)
    assert [each["sql"].split()[0] for each in statements].count("INSERT") == 5


@pytest.mark.server("pgbouncer")
def test_behind_a_pooler_nothing_is_prepared(store: DjangoStore) -> None:
    with _behind_the_pooler() as alias, Connection(f"django://{alias}") as connection:
        Queue(QUEUE)(connection)
        for _ in range(6):
            connection.Producer().publish(1, QUEUE)
        assert prepared(alias) == 0
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
