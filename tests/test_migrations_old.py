"""Tables that are older than the library are refused with the command that mends them, newer ones are welcome."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from kombu import Connection, Queue
from kombu.exceptions import OperationalError, VersionMismatch
from kombu_sqlalchemy import migrating

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ON_SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
    pytest.param("mariadb", marks=pytest.mark.server("mariadb", "mysqlclient")),
]
DOORS = ["sqla", "django"]


def command(door: str, doors: Doors, prefix: str = "") -> str:
    """What is to be run."""
    if door == "django":
        return f"run manage.py migrate --database {doors.django.removeprefix('django://')} kombu_django"
    return f"run python -m kombu_sqlalchemy upgrade '{doors.url}'{prefix}"


@pytest.mark.parametrize("revision", ["0001", "0002"])
@pytest.mark.parametrize("door", DOORS)
def test_older_tables_are_refused_with_the_command_to_run(door: str, revision: str, doors: Doors) -> None:
    doors.upgrade(f"kombu_{revision}")
    with pytest.raises(VersionMismatch, match="are older than this release") as raised:
        through(Connection(getattr(doors, door)))
    assert command(door, doors) in str(raised.value)
    doors.upgrade() if door == "sqla" else doors.migrate()
    assert through(Connection(getattr(doors, door))) == 1


@pytest.mark.parametrize("door", DOORS)
def test_tables_that_lack_an_index_only_are_used(door: str, doors: Doors) -> None:
    """Claims sort what they find, which is slow where much waits."""
    doors.upgrade("kombu_0003")
    assert through(Connection(getattr(doors, door))) == 1


@pytest.mark.parametrize("door", DOORS)
def test_without_tables_a_server_is_refused_with_the_command_to_run(door: str, doors: Doors) -> None:
    if door == "sqla" and doors.kind == "sqlite":
        assert through(Connection(doors.sqla)) == 1
        return
    with pytest.raises(OperationalError, match="has no kombu tables") as raised:
        through(Connection(getattr(doors, door)))
    assert command(door, doors) in str(raised.value)


def test_the_command_has_the_prefix_of_the_tables(doors: Doors) -> None:
    options = {"table_prefix": "q_", "create_tables": False}
    with pytest.raises(OperationalError, match="has no kombu tables") as raised:
        through(Connection(doors.sqla, transport_options=options))
    assert f"{command('sqla', doors)} --prefix q_," in str(raised.value)
    with doors.engine.begin() as connection:
        migrating.upgrade(connection, "q_")
    doors.run("ALTER TABLE q_queue DROP COLUMN paused")
    with pytest.raises(VersionMismatch, match=re.escape(f"{command('sqla', doors)} --prefix q_,")):
        through(Connection(doors.sqla, transport_options=options))


@pytest.mark.parametrize("door", DOORS)
def test_tables_with_more_than_the_library_knows_are_used(door: str, doors: Doors) -> None:
    doors.upgrade()
    for table in ("exchange", "queue", "binding", "message", "user"):
        doors.run(f"ALTER TABLE kombu_{table} ADD COLUMN news VARCHAR(20) NULL")
        doors.run(f"ALTER TABLE kombu_{table} ADD COLUMN more INTEGER NOT NULL DEFAULT 7")
    doors.migrate()
    assert through(Connection(getattr(doors, door))) == 1
    assert doors.look(lambda c: c.exec_driver_sql("SELECT more, news FROM kombu_queue").fetchall()) == [(7, None)]


@pytest.mark.parametrize("doors", ON_SERVERS, indirect=True)
@pytest.mark.parametrize("door", DOORS)
def test_where_a_newer_release_needs_more_of_a_queue_those_that_are_there_go_on(door: str, doors: Doors) -> None:
    doors.upgrade()
    assert through(Connection(doors.sqla)) == 1
    doors.run("ALTER TABLE kombu_queue ADD COLUMN later BOOLEAN NOT NULL DEFAULT FALSE")
    doors.run("ALTER TABLE kombu_queue ALTER COLUMN later DROP DEFAULT")
    assert through(Connection(getattr(doors, door))) == 1
    with Connection(getattr(doors, door)) as connection, pytest.raises(OperationalError, match="later"):
        Queue("invoices")(connection).declare()


@pytest.mark.parametrize("missing", ["kombu_user", "kombu_worker", "kombu_message"])
def test_asked_to_make_tables_it_makes_those_that_are_missing(missing: str, doors: Doors) -> None:
    """As after a machine that stopped in the middle of making them."""
    doors.create_all()
    doors.run(f"DROP TABLE {missing}")
    doors.run("DROP INDEX kombu_outbox_claim" + (" ON kombu_outbox" if doors.kind == "mariadb" else ""))
    assert through(Connection(doors.sqla, transport_options={"create_tables": True})) == 1
    doors.upgrade()


def through(connection: Connection) -> Any:
    with connection:
        orders = Queue("orders", max_priority=3)(connection)
        orders.declare()
        connection.Producer().publish(1, "orders")
        message = orders.get()
        assert message is not None
        message.ack()
        return message.payload
