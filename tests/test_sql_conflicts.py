"""Deadlocks and serialization failures, real ones: retried where the transaction is the store's own, else raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from sqlalchemy import Connection as Outside

from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from kombu.sql import Conflict
from kombu.transport.virtual.store import Done, Lease
from tests.memory import PATIENCE
from tests.outside import blocked
from tests.places import ON_MARIADB, ON_POSTGRESQL, ON_SERVERS, ON_SQLITE, Place, places
from tests.processes import engine_of, wait_until

ORDERS = Queue("orders")
AT_ONCE = {"interval_start": 0.01, "interval_step": 0.0}
SERIALIZABLE = {"options": "-c default_transaction_isolation=serializable"}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the store has waited before it tried again."""
    seen: list[float] = []
    monkeypatch.setattr("kombu.sql.database.time", SimpleNamespace(sleep=seen.append))
    return seen


def two_leases(connection: Connection) -> tuple[Lease, Lease]:
    """Of two claims, so that settling both is a transaction of two statements; others wait in the queue."""
    ORDERS(connection).declare()
    connection.Producer().publish_many(range(50), routing_key="orders")
    store = engine_of(connection).store
    [first], [second] = store.claim({"orders": 1}, 60.0), store.claim({"orders": 1}, 60.0)
    return first.lease, second.lease


@contextmanager
def in_the_way(place: Place, first: Lease, second: Lease) -> Iterator[Any]:
    """Somebody with a long transaction has the second message, and wants the first when that is called."""
    with place.engine.connect().execution_options(isolation_level="READ COMMITTED") as outside:
        outside.exec_driver_sql("UPDATE kombu_message SET stored_at = 0 WHERE lease_token IS NULL")  # outweighs others
        touch(outside, second)
        yield lambda: touch(outside, first)
        outside.rollback()


def touch(outside: Outside, lease: Lease) -> None:
    outside.exec_driver_sql(f"UPDATE kombu_message SET stored_at = 0 WHERE id = {lease.id}")


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
def test_a_deadlock_is_tried_again(place: Place, pauses: list[float]) -> None:
    connection = place.connect()
    first, second = two_leases(connection)
    with in_the_way(place, first, second) as want_the_first:
        settling = place.in_background(engine_of(connection).store.settle, [Done(first), Done(second)])
        wait_until(lambda: blocked(place) or settling.done())
        assert blocked(place), settling.result()
        want_the_first()
        wait_until(lambda: pauses)
    assert settling.result(PATIENCE) == [True, True]
    assert len(place.bodies()) == 48


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
def test_a_deadlock_in_the_callers_transaction_is_the_callers_to_repeat(place: Place, pauses: list[float]) -> None:
    connection = place.connect()
    first, second = two_leases(connection)

    def settle() -> list[bool]:
        with place.transaction() as within:
            return engine_of(connection).store.within(within).settle([Done(first), Done(second)])  # type: ignore[attr-defined,no-any-return]

    with in_the_way(place, first, second) as want_the_first:
        settling = place.in_background(settle)
        wait_until(lambda: blocked(place) or settling.done())
        assert blocked(place), settling.result()
        want_the_first()
        with pytest.raises(Conflict, match="another transaction was in the way"):
            settling.result(PATIENCE)
    assert pauses == []
    assert len(place.bodies()) == 50
    assert settle() == [True, True]


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_a_serialization_failure_is_tried_again(place: Place, pauses: list[float]) -> None:
    connection = place.connect(place.with_options(**SERIALIZABLE))
    first, _ = two_leases(connection)
    with place.engine.connect() as outside:
        touch(outside, first)
        settling = place.in_background(engine_of(connection).store.settle, [Done(first)])
        wait_until(lambda: blocked(place) or settling.done())
        assert blocked(place), settling.result()
        outside.commit()
        assert settling.result(PATIENCE) == [True]
    assert len(pauses) == 1


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_a_serialization_failure_in_the_callers_transaction_is_the_callers_to_repeat(
    place: Place, pauses: list[float]
) -> None:
    url = place.with_options(**SERIALIZABLE)
    connection = place.connect(url)
    first, _ = two_leases(connection)

    def settle() -> list[bool]:
        with place.transaction(url) as within:
            return engine_of(connection).store.within(within).settle([Done(first)])  # type: ignore[attr-defined,no-any-return]

    with place.engine.connect() as outside:
        touch(outside, first)
        settling = place.in_background(settle)
        wait_until(lambda: blocked(place) or settling.done())
        assert blocked(place), settling.result()
        outside.commit()
        with pytest.raises(Conflict):
            settling.result(PATIENCE)
    assert pauses == []
    assert settle() == [True]


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_processes_that_are_serializable_all_get_on(place: Place) -> None:
    """Four consumers and two publishers, whose every statement is a serializable transaction."""
    url = place.with_options(**SERIALIZABLE)
    ORDERS(place.connect()).declare()
    seen: list[Any] = []

    def publish(name: str) -> None:
        with Connection(url) as connection:
            producer = connection.Producer(routing_key="orders")
            for number in range(100):
                producer.publish([name, number], retry=True, retry_policy=AT_ONCE)

    def consume() -> None:
        with (
            Connection(url) as connection,
            connection.Consumer(ORDERS, on_message=lambda m: seen.append(m.payload) or m.ack()),
        ):
            while len(seen) < 200:
                try:
                    connection.drain_events(timeout=0.05)
                except (TimeoutError, Conflict):
                    continue

    working = [place.in_background(publish, name) for name in "ab"] + [place.in_background(consume) for _ in range(4)]
    for each in working:
        each.result(3 * PATIENCE)
    assert sorted(seen) == [[name, number] for name in "ab" for number in range(100)]


@pytest.mark.parametrize("place", ON_MARIADB, indirect=True)
def test_a_lock_that_is_held_too_long_is_tried_again(place: Place, pauses: list[float]) -> None:
    connection = place.connect(place.with_options(init_command="SET SESSION innodb_lock_wait_timeout = 1"))
    first, second = two_leases(connection)
    with in_the_way(place, first, second):
        settling = place.in_background(engine_of(connection).store.settle, [Done(first), Done(second)])
        wait_until(lambda: pauses)
    assert settling.result(PATIENCE) == [True, True]


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_snapshot_that_is_too_old_is_the_callers_to_repeat(place: Place, pauses: list[float]) -> None:
    """SQLITE_BUSY_SNAPSHOT: who has read cannot write any more once another has."""
    connection = place.connect(url := deferred(place))
    ORDERS(connection).declare()
    other = place.connect()

    def publish(meanwhile: bool) -> None:
        with place.transaction(url) as within:
            read(place, within)
            if meanwhile:
                place.in_background(other.Producer().publish, "other", "orders").result(PATIENCE)
            connection.Producer().publish("mine", "orders", within=within)

    with pytest.raises(Conflict):
        publish(meanwhile=True)
    assert place.bodies() == ["other"]
    publish(meanwhile=False)
    assert place.bodies() == ["other", "mine"]
    assert pauses == []


@pytest.mark.parametrize("place", places("django-sqlite"), indirect=True)
def test_a_snapshot_that_is_too_old_is_tried_again(
    place: Place, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a queue that refuses when it is full, a message goes after a look, in a transaction."""
    connection = place.connect(deferred(place))
    arguments = {"x-max-length": 10, "x-overflow": "reject-publish"}
    Queue("orders", queue_arguments=arguments)(connection).declare()
    producer = connection.Producer(routing_key="orders")
    producer.publish("first")
    store: Any = engine_of(connection).store
    look = store._see_room
    others = iter(["other"])

    def look_late(items: object) -> None:
        for body in others:
            with Connection(place.url) as other:
                place.in_background(other.Producer().publish, body, "orders").result(PATIENCE)
        look(items)

    monkeypatch.setattr(store, "_see_room", look_late)
    producer.publish("mine")
    assert place.bodies() == ["first", "other", "mine"]
    assert len(pauses) == 1


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_database_that_somebody_holds_too_long_is_an_error_that_says_so(place: Place) -> None:
    connection = place.connect(place.with_options(timeout="0.05") if place.door == "sqla" else impatient(place))
    ORDERS(connection).declare()
    producer = connection.Producer(routing_key="orders")
    with place.engine.connect() as outside:
        outside.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="longer than the option 'timeout' allows"):
            producer.publish("refused")
        errors: list[Exception] = []
        policy = {**AT_ONCE, "errback": lambda error, _: errors.append(error)}
        publishing = place.in_background(producer.publish, "in the end", retry=True, retry_policy=policy)
        wait_until(lambda: errors or publishing.done())
        assert errors or publishing.result()
        outside.rollback()
        publishing.result(PATIENCE)
    assert place.bodies() == ["in the end"]


def deferred(place: Place) -> str:
    """Transactions that lock only when they write; so are SQLAlchemy's."""
    return place.url if place.door == "sqla" else place.aliased(OPTIONS={"timeout": 20})


def impatient(place: Place) -> str:
    return place.aliased(OPTIONS={"timeout": 0.05, "transaction_mode": "IMMEDIATE"})


def read(place: Place, within: Any) -> None:
    """Begins the transaction's snapshot."""
    if place.door == "sqla":
        within.exec_driver_sql("BEGIN")
        within.exec_driver_sql("SELECT COUNT(*) FROM kombu_message").fetchall()
        return
    with connections[within].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM kombu_message")
        cursor.fetchall()
