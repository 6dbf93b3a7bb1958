"""Engines that a program hands in: kombu's connections keep to themselves whatever these say to every connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection as SQLConnection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from kombu import Connection, Queue

JOBS = Queue("jobs")


@pytest.fixture
def beginning(tmp_path: Path) -> Iterator[Engine]:
    """As SQLAlchemy's page on SQLite says, so that savepoints work: its listener says BEGIN, and Python's driver does
    not."""
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.sqlite3'}")

    @event.listens_for(engine, "connect")
    def leave_it_to_us(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def begin(connection: SQLConnection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    yield engine
    engine.dispose()


def test_an_engine_that_says_begin_itself_will_do(beginning: Engine) -> None:
    with Connection("sqla://", transport_options={"engine": beginning}) as connection:
        JOBS(connection).declare()
        connection.Producer(routing_key="jobs").publish_many(range(250))
        with Connection("sqla://", transport_options={"engine": beginning}) as other:
            message = JOBS(other).get()
            assert message is not None
            message.ack()
            assert message.payload == 0
        assert JOBS(connection).queue_declare(passive=True).message_count == 249


def test_with_such_an_engine_a_savepoint_that_comes_first_rolls_back_with_all_the_rest(beginning: Engine) -> None:
    with Connection("sqla://", transport_options={"engine": beginning}) as connection:
        JOBS(connection).declare()
        with Session(beginning) as session:
            with session.begin_nested():
                connection.Producer(routing_key="jobs").publish(1, within=session)
            session.rollback()
        assert JOBS(connection).get() is None
