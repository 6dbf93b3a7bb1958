"""The ORM store keeps every promise of a store, on each database that it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from kombu.testing.case import QUEUE, bodies, message
from kombu.transport.virtual.store import Done, QueueSpec, User
from kombu_django.models import Message, Queue, QueueUser
from kombu_django.store import DjangoStore

T = TypeVar("T")


class DjangoConformance(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    """``alias`` is the database."""

    alias: str

    def open_store(self) -> DjangoStore:
        store = DjangoStore(self.alias)
        store.open()
        return store

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Each thread closes its connections itself, as Django leaves it to who starts threads."""
        return super().at_once([partial(_then_disconnect, call) for call in calls])

    def test_a_batch_is_put_by_one_statement_where_no_queue_refuses(self) -> None:
        self.declare(QUEUE)
        self.store.declare(QueueSpec(name="limited", arguments={"x-max-length": 1}))
        with CaptureQueriesContext(connections[self.alias]) as statements:
            self.store.put([(QUEUE, message("a")), ("limited", message("b"))])
        assert ["INSERT" in each["sql"] for each in statements][:1] == [True]
        assert sum("kombu_message" in each["sql"] for each in statements) == 1

    def test_no_row_of_a_queue_that_ended_or_was_deleted_stays(self) -> None:
        fleeting = QueueSpec(name="fleeting", auto_delete=True)
        self.store.declare(fleeting)
        self.put("a")
        self.store.put([("fleeting", message("b"))])
        self.attended.attend([User(QUEUE, "a"), User("fleeting", "a"), User("fleeting", "b", False)], 60.0)
        self.store.delete(QUEUE)
        self.attended.leave([User("fleeting", "a")])
        assert self.attended.expire_queues() == ["fleeting"]
        for model in (Queue, QueueUser, Message):
            assert not model._default_manager.using(self.alias).exists()

    def test_a_thread_that_renews_users_keeps_no_connection(self) -> None:
        def renew() -> bool:
            answers = [self.attended.attend([user], 60.0), self.attended.attend([user], 0.0)]
            self.attended.leave([user])
            return answers == [[True], [True]] and connections[self.alias].connection is None

        self.declare(QUEUE)
        user = User(QUEUE, "a")
        assert self.at_once([renew]) == [True]

    def test_a_thread_that_publishes_keeps_its_connection_for_the_next_time(self) -> None:
        def publish() -> bool:
            self.store.put([(QUEUE, message("a"))])
            first = connections[self.alias].connection
            self.store.put([(QUEUE, message("b"))])
            return first is not None and first is connections[self.alias].connection

        self.declare(QUEUE)
        assert self.at_once([publish]) == [True]

    def test_the_longest_name_of_a_consumer_is_kept(self) -> None:
        """The connection's and the channel's ids, and a consumer tag of 255 characters (AMQP: a short string)."""
        user = User(QUEUE, f"{'c' * 36}/{'f' * 16}/{'注' * 255}")
        self.declare(QUEUE)
        assert self.attended.attend([user], 60.0) == [True]
        assert self.attended.attending([QUEUE]) == {QUEUE: [user]}


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

    def test_a_surplus_is_taken_without_waiting_for_a_transaction_that_settles_some_of_it(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-length": 0}))
        self.put("a", "b")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready == 2)
        with transaction.atomic(using=self.alias):
            assert self.store.settle([Done(late.lease)]) == [True]
            [taken] = self.at_once([partial(self.bounded.surplus, [QUEUE], 60.0)])
            assert bodies(taken) == ["b"]

    def test_what_one_claims_meanwhile_is_no_surplus_though_that_transaction_is_open(self) -> None:
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-length": 3}))
        self.put(*"abcde")
        with transaction.atomic(using=self.alias):
            assert bodies(self.claim(2)) == ["a", "b"]
            assert self.at_once([partial(self.bounded.surplus, [QUEUE], 60.0)]) == [[]]
        assert self.counts().ready == 3

    def test_the_limit_holds_however_few_messages_the_planner_expects(self) -> None:
        """It then puts the subquery that chooses into an inner loop: https://www.postgresql.org/docs/15/using-explain.html"""
        self.put("a", ttl=0.0)
        with connections[self.alias].cursor() as cursor:
            cursor.execute("VACUUM ANALYZE kombu_message")
        self.put(*map(str, range(20)), ttl=0.0)
        assert len(self.store.sweep(3, 60.0)) == 3
        assert len(self.claim(3)) == 3


@pytest.mark.server("mariadb", "mysqlclient")
@pytest.mark.usefixtures("mariadb_tables")
class TestOnMariaDB(DjangoConformance):
    alias = "mariadb"


def _then_disconnect(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()
