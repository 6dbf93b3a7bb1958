"""A process that forks with an open connection to a database: child and parent go on, each with its own."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from kombu import Connection, Message, Queue
from kombu.exceptions import NotSupported
from tests.forks import Child, needs_fork
from tests.memory import PATIENCE
from tests.places import Place, places
from tests.processes import engine_of

ORDERS = Queue("orders")
THROUGH_SQLALCHEMY = places("sqla-sqlite", "sqla-postgresql", "sqla-mariadb", "sqla-mysqlclient")

pytestmark = needs_fork


class Turns:
    """Parent and child do one thing after the other."""

    def __init__(self) -> None:
        self._pipes = {"parent": os.pipe(), "child": os.pipe()}

    def give(self, to: str) -> None:
        os.write(self._pipes[to][1], b"!")

    def take(self, who: str) -> None:
        assert os.read(self._pipes[who][0], 1)

    def close(self) -> None:
        for pipe in self._pipes.values():
            for end in pipe:
                os.close(end)


@pytest.fixture
def connection(place: Place) -> Connection:
    """In use, with a message that is held."""
    connection = place.connect(lease=60)
    ORDERS(connection).declare()
    connection.Producer().publish("held", "orders")
    return connection


@pytest.mark.parametrize("place", THROUGH_SQLALCHEMY, indirect=True)
def test_child_and_parent_go_on_with_the_connection_that_both_have(place: Place, connection: Connection) -> None:
    held = take(connection)
    turns = Turns()

    def work() -> None:
        turns.take("child")
        connection.Producer().publish("from the child", "orders")
        assert take(connection).payload == "from the parent"
        turns.give("parent")
        turns.take("child")
        connection.close()

    child = Child(work)
    connection.Producer().publish("from the parent", "orders")
    turns.give("child")
    turns.take("parent")
    assert take(connection).payload == "from the child"
    held.ack()
    connection.Producer().publish("at the end", "orders")
    turns.give("child")
    assert child.lives_to_the_end()
    connection.close()
    turns.close()
    assert sorted(place.bodies()) == ["at the end", "from the child", "from the parent"]


@pytest.mark.parametrize("place", THROUGH_SQLALCHEMY, indirect=True)
def test_a_child_that_ends_in_whatever_way_leaves_the_parent_s_connection_alone(
    place: Place, connection: Connection
) -> None:
    def forget() -> None:
        connection.__dict__.clear()
        gc.collect()

    def close() -> None:
        connection.close()
        gc.collect()

    for ending in (lambda: None, forget, close):
        assert Child(ending).lives_to_the_end()
        connection.Producer().publish("after it", "orders")
    assert place.bodies() == ["held", "after it", "after it", "after it"]


@pytest.mark.parametrize("place", THROUGH_SQLALCHEMY, indirect=True)
def test_what_a_child_publishes_is_stored_after_the_parent_has_closed_its_connection(
    place: Place, connection: Connection
) -> None:
    """On SQLite who believes to be the last to close a database folds its log into the file and removes it."""
    turns = Turns()

    def work() -> None:
        connection.Producer().publish("child 1", "orders")
        turns.give("parent")
        turns.take("child")
        connection.Producer().publish("child 2", "orders")
        turns.give("parent")
        turns.take("child")
        connection.Producer().publish("child 3", "orders")

    child = Child(work)
    turns.take("parent")
    connection.close()
    turns.give("child")
    turns.take("parent")
    with Connection(place.url) as another:
        another.Producer().publish("parent", "orders")
        turns.give("child")
        assert child.lives_to_the_end()
    turns.close()
    assert sorted(place.bodies()) == ["child 1", "child 2", "child 3", "held", "parent"]


@pytest.mark.parametrize("place", places("sqla-sqlite"), indirect=True)
def test_a_child_forked_while_a_thread_was_using_sqlite_is_refused_with_the_way_out(
    place: Place, connection: Connection
) -> None:
    """It could lose what it stores, without a word."""
    entered, leave = threading.Event(), threading.Event()

    def use() -> None:
        with engine_of(connection).store.database.session():  # type: ignore[attr-defined]
            entered.set()
            leave.wait(PATIENCE)

    def work() -> None:
        with pytest.raises(NotSupported, match="fork before threads use it"):
            connection.Producer().publish("lost", "orders", retry=True)

    using = place.in_background(use)
    assert entered.wait(PATIENCE)
    child = Child(work)
    leave.set()
    using.result(PATIENCE)
    assert child.lives_to_the_end()
    connection.Producer().publish("kept", "orders")
    assert place.bodies() == ["held", "kept"]


def take(connection: Connection) -> Message:
    message = ORDERS(connection).get()
    assert message is not None
    return message
