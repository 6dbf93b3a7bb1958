"""PostgreSQL where vacuum has seen dead rows only: the planner takes the table for empty, and all plans for equal.

That happens to a busy queue, and always beside a transaction that stays open. Each statement then has to leave no
choice but the right index, in its order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from unittest.mock import ANY

import psycopg
import pytest
from django.db import connections
from sqlalchemy import Engine, event

from kombu.sql import SQLStore
from kombu.testing.case import QUEUE, message
from kombu.transport.virtual.store import Delivery, Done, QueueSpec, Release
from kombu_django.store import DjangoStore
from kombu_sqlalchemy import SQLAlchemyStore
from tests import servers

MANY = 3000
Server = psycopg.Connection[tuple[int, ...]]


class AConsumer:
    store: SQLStore
    claimed: list[Delivery]
    database: str

    @pytest.mark.parametrize("watched", [False, True])
    @pytest.mark.parametrize("known", [(), (QUEUE,), (QUEUE, "others")])
    def test_looks_up_what_it_claims_and_no_more(self, known: tuple[str, ...], watched: bool) -> None:
        """``known``: queues of which the planner has seen messages once. ``watched``: the application listens to the
        statements."""
        with ExitStack() as stack:
            server, old = (stack.enter_context(self.connected()) for _ in range(2))
            stack.enter_context(unvacuumed(server))
            if watched:
                stack.enter_context(self.watching())
            self.let_see(server, known)
            old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            old.execute("SELECT FROM kombu_queue")
            self.put_many()
            self.store.settle([Done(delivery.lease) for delivery in self.store.claim({QUEUE: MANY}, 60.0)])
            server.execute("VACUUM ANALYZE kombu_message")
            self.put_many()
            took = {step: self.read(server, work) for step, work in self.steps().items()}
            size = server.execute("SELECT pg_relation_size('kombu_message_turn') / 8192").fetchall()[0][0]
        entries, pages = ({step: found[n] for step, found in took.items()} for n in (0, 1))
        by_the_dead = MANY + 10  # each from the beginning
        assert entries == {"sweep": 0, "look": ANY, "claim": ANY, "settle": 0}
        assert max(entries.values()) <= by_the_dead, entries
        assert max(pages.values()) < size, pages

    def let_see(self, server: Server, queues: tuple[str, ...]) -> None:
        for queue in queues:
            self.store.declare(QueueSpec(name=queue))
        self.store.put([(queue, message("one")) for queue in queues for _ in range(100)])
        server.execute("ANALYZE kombu_message")
        for queue in queues:
            self.store.settle([Done(delivery.lease) for delivery in self.store.claim({queue: 100}, 60.0)])
        server.execute("VACUUM kombu_message")

    @abstractmethod
    def watching(self) -> AbstractContextManager[object]: ...

    def put_many(self) -> None:
        self.store.put([(QUEUE, message("one"))] * MANY)

    def steps(self) -> dict[str, Callable[[], object]]:
        """What a consumer does."""
        return {
            "sweep": lambda: self.store.sweep(10, 60.0),
            "look": lambda: self.store.wait([QUEUE], 0),
            "claim": lambda: self.claimed.extend(self.store.claim({QUEUE: 10}, 60.0)),
            "settle": self.settle,
        }

    def settle(self) -> None:
        assert len(self.claimed) == 10
        leases = [delivery.lease for delivery in self.claimed]
        for some in (leases[:1], leases):
            assert None not in self.store.extend(some, 60.0)
        for outcomes in ([Done(leases[0])], [Release(leases[1])], [Done(lease) for lease in leases[2:]]):
            assert all(self.store.settle(outcomes))

    def read(self, server: Server, work: Callable[[], object]) -> tuple[int, int]:
        """Entries and pages of the claims' index that it reads."""
        entries, pages = self.so_far(server)
        work()
        entries_after, pages_after = self.so_far(server)
        return entries_after - entries, pages_after - pages

    def so_far(self, server: Server) -> tuple[int, ...]:
        for statement in ("SELECT pg_stat_force_next_flush()", "SELECT 1"):
            server.execute(statement)  # what vacuum has read: a session's counts are told now and then, or at once
            with self.store.database.session():
                self.store.database.fetch(statement)
        return server.execute(
            "SELECT idx_tup_read, idx_blks_hit + idx_blks_read"
            " FROM pg_stat_user_indexes JOIN pg_statio_user_indexes USING (indexrelid, indexrelname)"
            " WHERE indexrelname = 'kombu_message_turn'"
        ).fetchall()[0]

    def connected(self) -> Server:
        return psycopg.connect(servers.postgresql_url(self.database), autocommit=True)


@contextmanager
def unvacuumed(server: Server) -> Iterator[None]:
    """By nobody else: what vacuum reads of an index counts, too."""
    server.execute("ALTER TABLE kombu_message SET (autovacuum_enabled = off)")
    try:
        yield
    finally:
        server.execute("ALTER TABLE kombu_message RESET (autovacuum_enabled)")


@pytest.mark.server("postgresql")
class TestThroughSQLAlchemy(AConsumer):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_engine: Engine) -> Iterator[None]:
        self.engine = postgresql_engine
        self.database = str(postgresql_engine.url.database)
        self.store = SQLAlchemyStore(postgresql_engine)
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        self.claimed = []
        yield
        self.store.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        heard: list[str] = []

        def listener(_: object, __: object, statement: str, *___: object) -> None:
            heard.append(statement)

        event.listen(self.engine, "before_cursor_execute", listener)
        try:
            yield
        finally:
            event.remove(self.engine, "before_cursor_execute", listener)
        assert heard


@pytest.mark.server("postgresql")
class TestThroughDjango(AConsumer):
    @pytest.fixture(autouse=True)
    def _store(self, postgresql_tables: None) -> Iterator[None]:
        self.database = str(connections["postgresql"].settings_dict["NAME"])
        self.store = DjangoStore("postgresql")
        self.store.open()
        self.store.declare(QueueSpec(name=QUEUE))
        self.claimed = []
        yield
        self.store.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        heard: list[str] = []

        def listener(execute: Callable[..., object], sql: str, *others: object) -> object:
            heard.append(sql)
            return execute(sql, *others)

        with connections["postgresql"].execute_wrapper(listener):
            yield
        assert heard
