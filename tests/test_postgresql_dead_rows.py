"""PostgreSQL where vacuum has seen dead rows only: the planner takes the table for empty, and all plans for equal.

That happens to a busy queue, and always beside a transaction that stays open. Each statement then has to leave no
choice but the right index.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections
from sqlalchemy import Engine

from kombu.sql import SQLStore
from kombu.testing.case import QUEUE, message
from kombu.transport.virtual.store import Done, QueueSpec, Release
from kombu_django.store import DjangoStore
from kombu_sqlalchemy import SQLAlchemyStore
from tests import servers

MANY = 3000
Server = psycopg.Connection[tuple[int, ...]]


class AConsumer:
    store: SQLStore
    database: str

    def test_looks_up_what_it_claims_and_no_more(self) -> None:
        with self.connected() as server, self.connected() as old:
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT FROM kombu_queue")
            self.put_many()
            self.store.settle([Done(delivery.lease) for delivery in self.store.claim({QUEUE: MANY}, 60.0)])
            server.execute("VACUUM ANALYZE kombu_message")
            self.put_many()
            entries, pages, size = self.read(server)
            self.work()
            entries_after, pages_after, _ = self.read(server)
        assert entries_after - entries < 2 * MANY + 100  # the dead ones, by each of two looks from the beginning
        assert pages_after - pages < 2 * size

    def put_many(self) -> None:
        self.store.put([(QUEUE, message("one"))] * MANY)

    def work(self) -> None:
        """As a consumer does."""
        self.store.sweep(10, 60.0)
        self.store.wait([QUEUE], 0)
        deliveries = self.store.claim({QUEUE: 10}, 60.0)
        assert len(deliveries) == 10
        leases = [delivery.lease for delivery in deliveries]
        for some in (leases[:1], leases):
            assert None not in self.store.extend(some, 60.0)
        for outcomes in ([Done(leases[0])], [Release(leases[1])], [Done(lease) for lease in leases[2:]]):
            assert all(self.store.settle(outcomes))

    def read(self, server: Server) -> tuple[int, ...]:
        """Entries and pages of the claims' index that were read so far, and how many pages it has."""
        with self.store.database.session():  # whose counts the server tells others now and then, or at once
            self.store.database.fetch("SELECT pg_stat_force_next_flush()")
            self.store.database.fetch("SELECT 1")
        return server.execute(
            "SELECT idx_tup_read, idx_blks_hit + idx_blks_read, pg_relation_size(indexrelid) / 8192"
            " FROM pg_stat_user_indexes JOIN pg_statio_user_indexes USING (indexrelid, indexrelname)"
            " WHERE indexrelname = 'kombu_message_turn'"
        ).fetchall()[0]

    def connected(self) -> Server:
        return psycopg.connect(servers.postgresql_url(self.database), autocommit=True)


@pytest.mark.server("postgresql")
class TestThroughSQLAlchemy(AConsumer):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_engine: Engine) -> Iterator[None]:
        self.database = str(postgresql_engine.url.database)
        self.store = SQLAlchemyStore(postgresql_engine)
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        yield
        self.store.close()


@pytest.mark.server("postgresql")
class TestThroughDjango(AConsumer):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_tables: None) -> Iterator[None]:
        self.database = str(connections["postgresql"].settings_dict["NAME"])
        self.store = DjangoStore("postgresql")
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        yield
        self.store.close()
