"""Databases for the SQLAlchemy door, made by its own tables: empty at the beginning of each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url

from kombu_sqlalchemy import metadata
from kombu_sqlalchemy.engines import make_engine
from tests import servers
from tests.settings import DATA

KINDS = ("sqlite", "postgresql", "mariadb")


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[Engine]:
    """A file of this test's own, with the tables."""
    engine = make_engine(f"sqlite:///{tmp_path / 'queues.sqlite3'}", 5.0, {})
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_made() -> Iterator[Engine]:
    with made(servers.postgresql_url().replace("postgresql://", "postgresql+psycopg://"), "sqla") as url:
        yield from _with_tables(url)


@pytest.fixture
def postgresql_engine(postgresql_made: Engine) -> Engine:
    """For tests that are marked with this server."""
    return _emptied(postgresql_made)


def pooled(engine: Engine) -> str:
    """The URL of this database of PostgreSQL through the pooler in front of it."""
    return engine.url.set(port=servers.PGBOUNCER_PORT).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def mariadb_made() -> Iterator[Engine]:
    with made(servers.mariadb_url(), "sqla") as url:
        yield from _with_tables(url)


@pytest.fixture
def mariadb_engine(mariadb_made: Engine) -> Engine:
    """For tests that are marked with this server."""
    return _emptied(mariadb_made)


@contextmanager
def made(server: str, suffix: str) -> Iterator[str]:
    """A database of this run's own; the URL of it."""
    name = f"{DATA.name.replace('-', '_')}_{suffix}"
    url = make_url(server)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            _drop(engine, name)
    engine.dispose()


def _drop(engine: Engine, name: str) -> None:
    """Whoever still has a connection to it loses that."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            servers.drop_postgresql_database(connection.exec_driver_sql, name)
            return
        with servers.mariadb_connection() as other, other.cursor() as cursor:
            servers.kill_mariadb_threads(cursor, name)
        connection.exec_driver_sql(f"DROP DATABASE {name}")


def _with_tables(url: str) -> Iterator[Engine]:
    engine = make_engine(url, 5.0, {})
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def _emptied(engine: Engine) -> Engine:
    with engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())
    return engine
