"""A router may keep the app's tables off a database: migrations leave that alone, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from sqlalchemy import inspect

from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from kombu_sqlalchemy import migrating
from kombu_sqlalchemy.state import look
from tests.places import alias

if TYPE_CHECKING:
    from kombu_sqlalchemy.state import State
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]


class KombuNotIn:
    """Keeps the library's tables off one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def allow_migrate(self, db: str, app_label: str, **_: object) -> bool | None:
        return False if (db, app_label) == (self.alias, "kombu_django") else None


@pytest.fixture(params=["default", "second"])
def refused(request: pytest.FixtureRequest, doors: Doors) -> Iterator[str]:
    """The alias of the database that is to have no tables: Django's default, or one beside that."""
    name = doors.django.removeprefix("django://")
    named = as_default(name) if request.param == "default" else nullcontext(name)
    with named as name, override_settings(DATABASE_ROUTERS=[KombuNotIn(name)]):
        yield name


def test_no_table_is_made_and_none_is_missed(refused: str, doors: Doors) -> None:
    migrate(refused)
    assert inspect(doors.engine).get_table_names() == ["django_migrations"]
    migrate(refused, "zero")
    assert inspect(doors.engine).get_table_names() == ["django_migrations"]


@pytest.mark.parametrize("revision", ["kombu_0001", "kombu_0003", "kombu_0004"])
def test_tables_that_are_there_already_stay_as_they_are(revision: str, refused: str, doors: Doors) -> None:
    doors.upgrade(revision)
    for to in (None, "0002", "zero"):
        migrate(refused, to)
        assert look_at(doors).revision == revision


def test_they_are_made_once_the_router_allows_them(refused: str, doors: Doors) -> None:
    migrate(refused)
    migrate(refused, "zero")
    with override_settings(DATABASE_ROUTERS=[]):
        migrate(refused)
    assert look_at(doors).is_current


def test_another_database_has_them(refused: str, tmp_path: Path) -> None:
    with alias("queue", NAME=tmp_path / "other.sqlite3") as other:
        for name in (refused, other.removeprefix("django://")):
            migrate(name)
        with pytest.raises(OperationalError, match="has no kombu tables"):
            Connection(f"django://{refused}").connect()
        with Connection(other) as connection:
            Queue("orders")(connection).declare()
            connection.Producer().publish(1, "orders")
            assert connection.statistics(["orders"])["orders"].ready == 1


def look_at(doors: Doors) -> State:
    found: State = doors.look(lambda each: look(each, migrating.scripts(), "kombu_"))
    return found


def migrate(name: str, to: str | None = None) -> None:
    call_command("migrate", "kombu_django", *([to] if to else []), database=name, verbosity=0)


@contextmanager
def as_default(name: str) -> Iterator[str]:
    """Django's default is the database of another alias for a while."""
    with patch.dict(connections.settings, default=connections.settings[name]):
        forget("default")
        yield "default"
        forget("default")


def forget(name: str) -> None:
    """The connection of before: the next has the settings as they are then."""
    connections[name].close()
    del connections[name]
