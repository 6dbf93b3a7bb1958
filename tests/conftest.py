"""Django is set up once for the whole run, with its tables; each test begins with them empty.

Tests that are marked with a server are left out where that is not there: see :mod:`tests.servers`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import django
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import servers

if TYPE_CHECKING:
    from xdist.remote import Producer

if "PYTEST_XDIST_WORKER" in os.environ:  # of several that run at once, each has data of its own
    os.environ.pop("KOMBU_TESTS_DATA", None)
_GIVEN = "KOMBU_TESTS_DATA" in os.environ
_LONG = ("test_sql_killing", "test_flights", "test_sql_statements", "test_filesystem_killing", "test_moving_killed")
"""Modules whose tests take long and share nothing: each may run in another process, and they come first, so that nobody
waits for them in the end. What is marked ``once`` comes next: it is slower than the rest, too."""

_ONCE = (
    *_LONG,
    "test_admin_browser",
    "test_amqp_private",
    "test_amqp_statistics",
    "test_beanstalk_transport",
    "test_beanstalk_vouching",
    "test_caller_deadlines",
    "test_compression",
    "test_conformance_bites",
    "test_couchdb_tls",
    "test_docs",
    "test_examples",
    "test_migrations",
    "test_migrations_at_once",
    "test_migrations_beside",
    "test_migrations_in_applications",
    "test_migrations_old",
    "test_migrations_waiting",
    "test_mongodb",
    "test_mongodb_connecting",
    "test_pika_private",
    "test_postgresql_dead_rows",
    "test_redis_cluster",
    "test_redis_junk",
    "test_redis_sentinel",
    "test_redis_tls",
    "test_resilience_bites",
    "test_schema",
    "test_single_active",
    "test_sql_conflicts",
    "test_sql_leases",
    "test_sql_names",
    "test_sql_patience",
    "test_sql_restarts",
    "test_sql_uncertain",
    "test_sqla_command",
    "test_sqs",
    "test_sqs_fanout",
    "test_sqs_fanout_conformance",
    "test_sqs_receiving",
    "test_sqs_short_polls",
    "test_sqs_tls",
    "test_store_beanstalk",
    "test_store_couchdb",
    "test_store_mongodb",
    "test_store_sqs",
    "test_transport_conformance_bites",
)
"""Modules that are about servers and processes, or about the suites themselves, rather than about an interpreter: their
tests, and those of every ``…_resilience``, are marked ``once``, and CI runs them on one."""

_CLASSES_ONCE = {
    "test_store_sqlalchemy": ("TestOnMariaDB", "TestOnPostgreSQL"),
    "test_transport_conformance": ("TestSQLAlchemyOnMariaDB", "TestSQLAlchemyOnPostgreSQL", "TestAMQP"),
}
"""What the same tests try with every interpreter through the other door, or by the other driver."""

pytest.register_assert_rewrite("kombu.testing", "tests.resilience")
pytest_plugins = ["tests.databases", "tests.given", "tests.memory", "tests.places", "tests.watched", "tests.shop"]


def pytest_configure(config: pytest.Config) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    config.pluginmanager.register(servers.Servers())
    if not _GIVEN:
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop("KOMBU_TESTS_DATA")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        module, group = item.path.stem, item.nodeid.split("::")[1]
        if module in _ONCE or module.endswith("_resilience") or group in _CLASSES_ONCE.get(module, ()):
            item.add_marker("once")
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """In the order of all tests."""
    if item.path.stem in _LONG:
        return _LONG.index(item.path.stem)
    return len(_LONG) + (item.get_closest_marker("once") is None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """A class or a module runs in one process, for what its tests share."""
    return _Scopes(config, log) if config.getoption("dist") == "loadscope" else None


class _Scopes(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        alone = Path(nodeid.partition("::")[0]).stem in _LONG
        return nodeid if alone else str(super()._split_scope(nodeid))


@pytest.fixture(scope="session")
def migrated() -> None:
    from django.core.management import call_command

    for alias in ("default", "queue"):
        call_command("migrate", database=alias, verbosity=0)


@pytest.fixture
def tables(migrated: None) -> Iterator[None]:
    """The tables of both databases, empty at first."""
    with _empty("default", "queue"):
        yield


@pytest.fixture(scope="session")
def postgresql_migrated() -> Iterator[None]:
    import psycopg
    from django.conf import settings

    name = settings.DATABASES["postgresql"]["NAME"]
    with psycopg.connect(servers.postgresql_url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            _migrate("postgresql")
            yield
        finally:
            servers.drop_postgresql_database(connection.execute, name)


@pytest.fixture
def postgresql_tables(postgresql_migrated: None) -> Iterator[None]:
    """The tables on PostgreSQL, empty at first; for tests that are marked with this server."""
    with _empty("postgresql"):
        yield


@pytest.fixture(scope="session")
def mariadb_migrated() -> Iterator[None]:
    from django.conf import settings

    name = settings.DATABASES["mariadb"]["NAME"]
    with servers.mariadb_connection() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            _migrate("mariadb")
            yield
        finally:
            servers.kill_mariadb_threads(cursor, name)
            cursor.execute(f"DROP DATABASE {name}")


@pytest.fixture
def mariadb_tables(mariadb_migrated: None) -> Iterator[None]:
    """The tables on MariaDB, empty at first; for tests that are marked with this server and mysqlclient."""
    with _empty("mariadb"):
        yield


def _migrate(alias: str) -> None:
    from django.core.management import call_command

    call_command("migrate", "kombu_django", database=alias, verbosity=0)


@contextmanager
def _empty(*aliases: str) -> Iterator[None]:
    from django.apps import apps
    from django.db import connections

    from kombu_django import connections as links

    for alias in aliases:
        for model in apps.get_app_config("kombu_django").get_models():
            model._default_manager.using(alias).all().delete()
    yield
    links.close_all()
    connections.close_all()


@pytest.fixture
def registered() -> Iterator[None]:
    """Consumers that a test registers are forgotten after it."""
    from kombu_django.registry import registry

    registry.clear()
    yield
    registry.clear()


@pytest.fixture
def django_queries() -> Iterator[list[str]]:
    """The statements that this thread sends to the default database."""
    from django.db import connection

    seen: list[str] = []

    def note(execute: Callable[..., object], sql: str, *rest: object) -> object:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield seen
