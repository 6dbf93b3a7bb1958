"""Migrations add what is missing, whoever made what is there, and have a version table of their own."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection as Database
from sqlalchemy import create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from kombu import Connection, Queue
from kombu.exceptions import NotSupported, VersionMismatch
from kombu_sqlalchemy import metadata, migrating
from kombu_sqlalchemy.state import look

if TYPE_CHECKING:
    from kombu_sqlalchemy.state import State
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ON_SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
    pytest.param("mariadb", marks=pytest.mark.server("mariadb", "mysqlclient")),
]
TABLES = set(metadata.tables)


def state(doors: Doors, prefix: str = "kombu_") -> State:
    found: State = doors.look(lambda connection: look(connection, migrating.scripts(), prefix))
    return found


@pytest.mark.parametrize("revision", ["kombu_0001", "kombu_0002", "kombu_0003", "kombu_0004"])
def test_the_state_of_tables_is_seen_whoever_made_them(revision: str, doors: Doors) -> None:
    assert (state(doors).revision, state(doors).is_empty) == (None, True)
    doors.upgrade(revision)
    assert (state(doors).revision, state(doors).alembic, state(doors).django) == (revision, revision, None)
    doors.clear()
    doors.migrate(revision.removeprefix("kombu_"))
    assert (state(doors).revision, state(doors).alembic) == (revision, None)
    assert str(state(doors).django).startswith(revision.removeprefix("kombu_"))
    assert state(doors).is_current == (revision == "kombu_0004")


def test_what_is_missing_is_named(doors: Doors) -> None:
    doors.migrate("0001")
    assert state(doors).missing == (
        "kombu_message index kombu_message_turn",
        "kombu_message index kombu_message_expiring",
        "kombu_queue.expires_at",
        "kombu_queue.refuses",
        "kombu_user",
        "kombu_queue.paused",
    )


@pytest.mark.parametrize("mend", ["upgrade", "migrate"])
def test_an_index_that_is_not_there_is_made(mend: str, doors: Doors) -> None:
    doors.create_all()
    doors.run("DROP INDEX kombu_message_turn" + (" ON kombu_message" if doors.kind == "mariadb" else ""))
    assert state(doors).missing == ("kombu_message index kombu_message_turn",)
    getattr(doors, mend)()
    assert state(doors).is_current


def test_a_table_that_somebody_has_taken_back_comes_again(doors: Doors) -> None:
    doors.upgrade()
    doors.migrate()
    doors.migrate("0001")
    assert (state(doors).revision, state(doors).alembic) == ("kombu_0001", "kombu_0004")
    doors.upgrade()
    assert state(doors).is_current


def test_the_applications_version_table_is_left_alone(doors: Doors) -> None:
    doors.run("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    doors.run("INSERT INTO alembic_version VALUES ('shop_7')")
    doors.upgrade()
    assert doors.look(lambda c: c.exec_driver_sql("SELECT * FROM alembic_version").fetchall()) == [("shop_7",)]
    assert state(doors).alembic == "kombu_0004"


@pytest.mark.parametrize("schema", ["", "shop."])
def test_tables_have_the_prefix_and_schema_that_were_asked_for(schema: str, doors: Doors) -> None:
    if schema:
        name = doors.engine.url.database if doors.kind == "mariadb" else "main"
        schema = "shop." if doors.kind == "postgresql" else f"{name}."
    if schema == "shop.":
        doors.run("CREATE SCHEMA shop")
    try:
        with doors.engine.begin() as connection:
            migrating.upgrade(connection, f"{schema}q_")
        found = set(inspect(doors.engine).get_table_names(schema=schema[:-1] or None))
        assert found == {name.replace("kombu_", "q_") for name in TABLES} | {"q_alembic"}
        assert state(doors, f"{schema}q_").is_current
        assert state(doors).is_empty
        with Connection(doors.sqla, transport_options={"table_prefix": f"{schema}q_"}) as connection:
            assert through(connection) == 1
    finally:
        if schema == "shop.":
            doors.run("DROP SCHEMA shop CASCADE")


def test_a_transaction_of_the_callers_that_rolls_back_leaves_nothing(doors: Doors) -> None:
    with doors.engine.connect() as connection:
        migrating.upgrade(connection)
        assert look(connection, migrating.scripts()).is_current
        connection.rollback()
    if doors.kind == "mariadb":  # which commits each change of a table
        assert state(doors).is_current
    else:
        assert inspect(doors.engine).get_table_names() == []


@pytest.mark.parametrize("isolation", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_an_upgrade_that_fails_leaves_nothing_and_can_be_repeated(isolation: Any, doors: Doors) -> None:
    in_the_way = "CREATE TABLE kombu_outbox (id INTEGER)"
    doors.run(in_the_way)
    engine = create_engine(doors.url, isolation_level=isolation, poolclass=NullPool)
    with pytest.raises(DBAPIError), engine.connect() as connection:
        migrating.upgrade(connection.execution_options(isolation_level=isolation))
    if doors.kind != "mariadb":
        assert inspect(doors.engine).get_table_names() == ["kombu_outbox"]
    doors.run("DROP TABLE kombu_outbox")
    doors.upgrade()
    assert state(doors).is_current


@pytest.mark.parametrize("doors", ON_SERVERS[1:], indirect=True)
@pytest.mark.parametrize("change", [2, 5, 7, 13, 15, 18, 20, 22])
def test_an_upgrade_that_stopped_anywhere_is_finished_by_the_next(change: int, doors: Doors) -> None:
    """MariaDB commits each change of a table at once: the seventh is the second index of the messages, the fifteenth a
    default that is to go again, the last takes an index away."""
    with pytest.raises(Stopped), doors.engine.connect() as connection:
        stop_before(connection, change)
        migrating.upgrade(connection)
    unfinished = state(doors).missing or "DEFAULT 0" in made(doors, "kombu_queue")
    assert unfinished or old_indexes(doors)
    doors.upgrade()
    assert state(doors).missing == ()
    assert (state(doors).alembic, "DEFAULT 0" in made(doors, "kombu_queue")) == ("kombu_0004", False)
    assert not old_indexes(doors)


def old_indexes(doors: Doors) -> set[str]:
    """Those that a revision takes away."""
    return set(re.findall("kombu_message_claim|kombu_message_expiry", made(doors, "kombu_message")))


class Stopped(Exception):
    """As if the process had been killed."""


def stop_before(connection: Database, change: int) -> None:
    seen = count(1)

    def look_at(_: Database, __: object, statement: str, *___: object) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")) and next(seen) == change:
            raise Stopped(statement)

    event.listen(connection, "before_cursor_execute", look_at)


def made(doors: Doors, table: str) -> str:
    return str(doors.look(lambda connection: connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()[1]))


def test_where_nothing_is_to_be_done_the_callers_transaction_stays_open(doors: Doors) -> None:
    doors.upgrade()
    doors.run("CREATE TABLE orders (id INTEGER)")
    with doors.engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO orders VALUES (1)")
        migrating.upgrade(connection)
        connection.rollback()
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM orders").scalar() == 0


def test_tables_of_a_newer_release_are_left_alone(doors: Doors) -> None:
    doors.upgrade()
    doors.run("UPDATE kombu_alembic SET version_num = 'kombu_0009'")
    doors.upgrade()
    assert state(doors).alembic == "kombu_0009"
    doors.run("DROP TABLE kombu_worker")
    with pytest.raises(VersionMismatch, match="kombu_0009, which this one does not know, and kombu_worker is missing"):
        doors.upgrade()


def test_the_way_back_takes_all_away(doors: Doors) -> None:
    doors.upgrade()
    before = inspect(doors.engine).get_columns("kombu_exchange")
    for revision in ("kombu_0003", "kombu_0002", "kombu_0001"):
        doors.downgrade(revision)
        assert state(doors).revision == revision
    doors.upgrade()
    doors.downgrade("base")
    assert inspect(doors.engine).get_table_names() == ["kombu_alembic"]
    doors.upgrade()
    assert [each["name"] for each in inspect(doors.engine).get_columns("kombu_exchange")] == [
        each["name"] for each in before
    ]


def test_statements_for_a_database_that_nobody_looks_at_make_what_upgrade_makes(doors: Doors) -> None:
    with doors.engine.connect() as connection:
        server = connection.dialect
    for since in (None, "kombu_0001", "kombu_0002", "kombu_0003"):
        doors.clear()
        if since:
            doors.upgrade(since)
        execute(doors, migrating.statements(server, since=since))
        assert state(doors).is_current
        assert state(doors).alembic == "kombu_0004"


@pytest.mark.parametrize("doors", ON_SERVERS, indirect=True)
def test_statements_leave_alone_what_django_has_made(doors: Doors) -> None:
    """SQLite cannot be asked to add a column unless it is there."""
    doors.migrate("0002")
    with doors.engine.connect() as connection:
        server = connection.dialect
    execute(doors, migrating.statements(server))
    assert (state(doors).revision, state(doors).alembic) == ("kombu_0004", "kombu_0004")


def test_upgrading_without_a_connection_is_refused() -> None:
    with pytest.raises(NotSupported, match="version_locations"):
        migrating.upgrade(None)  # type: ignore[arg-type]


def execute(doors: Doors, script: str) -> None:
    def send(connection: Database) -> None:
        for statement in script.split(";\n"):
            if statement.strip() not in ("", "BEGIN", "COMMIT"):
                connection.exec_driver_sql(statement)

    with doors.engine.begin() as connection:
        send(connection)


def through(connection: Connection) -> Any:
    orders = Queue("orders")(connection)
    orders.declare()
    connection.Producer().publish(1, "orders")
    message = orders.get()
    assert message is not None
    message.ack()
    return message.payload
