"""The plugin for databases without tables, and the ways by which they get them: ``doors`` runs a test on each.

A module's tests share one database of each server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from alembic.runtime.migration import MigrationContext
from django.core.management import call_command
from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, inspect, make_url
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import DropTable

from kombu_sqlalchemy import metadata, migrating
from kombu_sqlalchemy.engines import make_engine
from tests import servers
from tests.databases import made
from tests.places import alias

_ALIASES = {"sqlite": "default", "postgresql": "postgresql", "mariadb": "mariadb"}
_KINDS = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
    pytest.param("mariadb", marks=pytest.mark.server("mariadb", "mysqlclient")),
]


class Doors:
    """A database, with both doors to it."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        self._stack = ExitStack()

    @property
    def sqla(self) -> str:
        return f"sqla+{self.url}"

    @cached_property
    def django(self) -> str:
        """The URL of a Django alias that there is until the test ends."""
        return self._stack.enter_context(alias(_ALIASES[self.kind], NAME=make_url(self.url).database))

    def migrate(self, to: str | None = None) -> None:
        """As ``manage.py migrate`` does."""
        name = self.django.removeprefix("django://")
        call_command("migrate", "kombu_django", *([to] if to else []), database=name, verbosity=0)

    def upgrade(self, to: str | None = None) -> None:
        """As ``python -m kombu_sqlalchemy upgrade`` does, or to an older revision, as an older release did."""
        with self.engine.begin() as connection:
            if to is None:
                migrating.upgrade(connection)
            else:
                migrating._run(_going(to, connection))

    def downgrade(self, to: str) -> None:
        with self.engine.begin() as connection:
            migrating._run(_going(to, connection, back=True))

    def create_all(self) -> None:
        metadata.create_all(self.engine)

    def look(self, call: Callable[[Connection], Any]) -> Any:
        with self.engine.connect() as connection:
            return call(connection)

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def clear(self) -> None:
        """No tables any more."""
        names = inspect(self.engine).get_table_names()
        with self.engine.begin() as connection:
            for name in names:
                connection.execute(DropTable(Table(name, MetaData())))

    def close(self) -> None:
        self._stack.close()
        self.clear()
        self.engine.dispose()


@pytest.fixture(scope="module")
def own_databases() -> Iterator[Callable[[str], str]]:
    """The URL of a server's database that this module's tests share."""
    with ExitStack() as stack:
        known: dict[str, str] = {}

        def url(kind: str) -> str:
            if kind not in known:
                server = servers.mariadb_url() if kind == "mariadb" else _psycopg(servers.postgresql_url())
                known[kind] = stack.enter_context(made(server, "doors"))
            return known[kind]

        yield url


@pytest.fixture(params=_KINDS)
def doors(request: pytest.FixtureRequest, own_databases: Callable[[str], str], tmp_path: Path) -> Iterator[Doors]:
    kind = request.param
    if kind == "sqlite":
        make_engine(url := f"sqlite:///{tmp_path / 'doors.sqlite3'}", 5.0, {}).connect().close()
    else:
        url = own_databases(kind)
    found = Doors(kind, url)
    yield found
    found.close()


def _psycopg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _going(revision: str, connection: Connection, back: bool = False) -> MigrationContext:
    def steps(heads: tuple[str, ...], _: object) -> Any:
        script = migrating.scripts()
        return script._downgrade_revs(revision, heads) if back else script._upgrade_revs(revision, heads)

    return migrating._context("kombu_", connection, opts={"fn": steps})
