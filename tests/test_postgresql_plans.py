"""PostgreSQL's plans and prepared statements: neither a table that has grown nor a pooler gets in the way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connections
from sqlalchemy import Engine

from kombu import Connection, Queue
from kombu.sql import SQLStore
from kombu.testing.case import QUEUE, message
from kombu.transport.virtual.store import Done, QueueSpec
from kombu_django.store import DjangoStore
from kombu_sqlalchemy import SQLAlchemyStore
from tests import servers
from tests.databases import pooled

MANY = 6000
OFTEN = 20
"""More often than it takes until a statement is prepared and its plan is kept."""


class WhoBeganWithAnEmptyTable:
    store: SQLStore
    database: str

    def test_does_not_read_all_of_a_full_one(self) -> None:
        with psycopg.connect(servers.postgresql_url(self.database), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE kombu_message")
            for _ in range(OFTEN):
                self.store.put([(QUEUE, message("one"))])
                assert self.work() == 1
            self.store.put([(QUEUE, message("many"))] * MANY)
            before = self.read(connection)
            assert [self.work() for _ in range(3)] == [10, 10, 10]
            assert self.read(connection) - before < MANY

    def work(self) -> int:
        """As a consumer does; the server is to say at once what it counted."""
        self.store.wait([QUEUE], 0)
        deliveries = self.store.claim({QUEUE: 10}, 60.0)
        self.store.extend([delivery.lease for delivery in deliveries], 60.0)
        self.store.settle([Done(delivery.lease) for delivery in deliveries])
        with self.store.database.session():
            self.store.database.fetch("SELECT pg_stat_force_next_flush()")
            self.store.database.fetch("SELECT 1")
        return len(deliveries)

    def read(self, connection: psycopg.Connection[tuple[int]]) -> int:
        """Rows of the message table that all sessions have read in order to look at every one."""
        found = connection.execute("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'kombu_message'")
        return found.fetchall()[0][0]


@pytest.mark.server("postgresql")
class TestThroughSQLAlchemy(WhoBeganWithAnEmptyTable):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_engine: Engine) -> Iterator[None]:
        self.database = str(postgresql_engine.url.database)
        self.store = SQLAlchemyStore(postgresql_engine)
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        yield
        self.store.close()


@pytest.mark.server("postgresql")
@pytest.mark.usefixtures("postgresql_tables")
class TestThroughDjango(WhoBeganWithAnEmptyTable):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_tables: None) -> Iterator[None]:
        self.database = connections["postgresql"].settings_dict["NAME"]
        self.store = DjangoStore("postgresql")
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        yield
        self.store.close()


@pytest.mark.server("pgbouncer")
def test_behind_a_pooler_that_lends_its_connections_many_publish_and_consume(postgresql_engine: Engine) -> None:
    url = f"sqla+{pooled(postgresql_engine)}"

    def publish(_: int) -> None:
        with Connection(url) as connection:
            producer = connection.Producer(routing_key=QUEUE)
            for number in range(OFTEN):
                producer.publish(number)
                producer.publish_many([number, number])

    received: list[int] = []
    with Connection(url) as connection:
        Queue(QUEUE)(connection).declare()
        with ThreadPoolExecutor(4) as publishers:
            list(publishers.map(publish, range(4)))
        with connection.Consumer(
            Queue(QUEUE), callbacks=[lambda body, message: (received.append(body), message.ack())]
        ):
            while len(received) < 4 * 3 * OFTEN:
                connection.drain_events(timeout=10)
    assert sorted(received) == sorted([*range(OFTEN)] * 12)
