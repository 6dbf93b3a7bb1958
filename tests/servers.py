"""The servers and programs that some tests need: whether they are there, and what was not tested without them.

``@pytest.mark.server("postgresql")`` skips a test where that server is not there, or the driver that the tests use:
psycopg, and PyMySQL for ``"mariadb"``. What Django does on MariaDB needs ``server("mariadb", "mysqlclient")``. With
KOMBU_REQUIRE_SERVERS=1 in the environment the test fails instead.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pymysql import Connection
    from pymysql.cursors import Cursor

PATIENCE = 2.0
"""Seconds in which a server that is there answers."""

HOST = "127.0.0.1"
PG_PORT = int(os.environ.get("KOMBU_PG_PORT", "54329"))
PGBOUNCER_PORT = int(os.environ.get("KOMBU_PGBOUNCER_PORT", "56432"))
MARIADB_PORT = int(os.environ.get("KOMBU_MARIADB_PORT", "53306"))
RABBITMQ_PORT = int(os.environ.get("KOMBU_RABBITMQ_PORT", "55672"))
RABBITMQ_MANAGEMENT_PORT = int(os.environ.get("KOMBU_RABBITMQ_MANAGEMENT_PORT", "55673"))
REDIS_PORT = int(os.environ.get("KOMBU_REDIS_PORT", "56379"))
SQS_PORT = int(os.environ.get("KOMBU_SQS_PORT", "54566"))
MONGODB_PORT = int(os.environ.get("KOMBU_MONGODB_PORT", "57017"))
COUCHDB_PORT = int(os.environ.get("KOMBU_COUCHDB_PORT", "55984"))
BEANSTALKD_PORT = int(os.environ.get("KOMBU_BEANSTALKD_PORT", "51300"))


def chromium() -> str | None:
    """Its path."""
    return shutil.which("chromium")


def postgresql_url(database: str = "kombu") -> str:
    """For psycopg."""
    return f"postgresql://kombu@{HOST}:{PG_PORT}/{database}"


def pgbouncer_url(database: str = "kombu") -> str:
    """PostgreSQL again, but a session of the server is ours for the length of a transaction only; for psycopg."""
    return f"postgresql://kombu@{HOST}:{PGBOUNCER_PORT}/{database}"


def mariadb_url(database: str = "kombu") -> str:
    """For SQLAlchemy with PyMySQL, which reads all certificate authorities for each connection unless TLS is off.
    Databases that a test makes have names that begin with kombu."""
    return f"mysql+pymysql://kombu@{HOST}:{MARIADB_PORT}/{database}?ssl_disabled=1"


def mariadb_connection(database: str = "kombu") -> Connection[Cursor]:
    """By PyMySQL; each statement is a transaction."""
    import pymysql

    return pymysql.connect(
        host=HOST, port=MARIADB_PORT, user="kombu", database=database, connect_timeout=int(PATIENCE), autocommit=True
    )


@cache
def missing(server: str) -> str | None:
    """Why the tests of ``server`` cannot run, None if they can; looked at once."""
    return _LOOKS[server]()


_ABSENT = "absent server"


class Servers:
    """The pytest plugin behind the mark ``server``."""

    def __init__(self) -> None:
        self._skipped: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for name in _needed(item):
                if name not in _LOOKS:
                    raise pytest.UsageError(f"{item.nodeid}: no server {name!r}; known are {', '.join(_LOOKS)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        absent = {name: why for name in _needed(item) if (why := missing(name))}
        if not absent:
            return
        text = "; ".join(f"{name} is not there: {why}" for name, why in absent.items())
        if os.environ.get("KOMBU_REQUIRE_SERVERS") == "1":
            pytest.fail(f"{text} (start it: make services)", pytrace=False)
        item.user_properties += [(_ABSENT, name) for name in absent]
        pytest.skip(text)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also of tests that ran in another process."""
        if report.when == "setup" and report.skipped:
            self._skipped.update(str(name) for what, name in report.user_properties if what == _ABSENT)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._skipped:
            return
        terminalreporter.section("not tested: servers that are not there")
        for name, tests in sorted(self._skipped.items()):
            terminalreporter.line(f"{name}: {tests} tests skipped, {missing(name)} (start it: make services)")


def _needed(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("server") for name in mark.args]


def _look_for_chromium() -> str | None:
    return "no program chromium on the PATH" if chromium() is None else None


def _look_for_postgresql() -> str | None:
    return _refused(PG_PORT) or _psycopg_refused(postgresql_url())


def _look_for_pgbouncer() -> str | None:
    return _refused(PGBOUNCER_PORT) or _psycopg_refused(pgbouncer_url())


def _look_for_mariadb() -> str | None:
    if refused := _refused(MARIADB_PORT):
        return refused
    try:
        import pymysql
    except ImportError:
        return "no Python package PyMySQL"
    try:
        mariadb_connection().close()
    except pymysql.Error as exc:
        return str(exc)
    return None


def _look_for_mysqlclient() -> str | None:
    try:
        import_module("MySQLdb")
    except ImportError as exc:
        return f"no Python package mysqlclient, which make test builds where libmariadb-dev is installed: {exc}"
    return None


def _look_for(port: int, *packages: str) -> Callable[[], str | None]:
    """Whether something listens there, and the drivers are installed."""
    return lambda: _refused(port) or next(filter(None, map(_no_package, packages)), None)


def _no_package(name: str) -> str | None:
    return None if find_spec(name) else f"no Python package {name}"


def _refused(port: int) -> str | None:
    try:
        socket.create_connection((HOST, port), PATIENCE).close()
    except OSError as exc:
        return f"{HOST}:{port}: {exc.strerror or exc}"
    return None


def _psycopg_refused(url: str) -> str | None:
    try:
        import psycopg
    except ImportError:
        return "no Python package psycopg"
    try:
        psycopg.connect(url, connect_timeout=int(PATIENCE)).close()
    except psycopg.Error as exc:
        return str(exc)
    return None


def drop_postgresql_database(drop: Callable[[str], object], name: str) -> None:
    """Whoever still has a connection to it loses that; but for the server's own vacuum, which nobody else may end."""
    deadline = time.monotonic() + 30
    while True:
        try:
            drop(f"DROP DATABASE {name} WITH (FORCE)")
        except Exception as exc:
            if "being terminated" not in str(exc) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def kill_mariadb_threads(cursor: Cursor, database: str) -> None:
    """A transaction that a test left open would hold up the end of the database."""
    from pymysql.constants.ER import NO_SUCH_THREAD
    from pymysql.err import OperationalError

    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [database])
    for (thread,) in cursor.fetchall():
        try:
            cursor.execute(f"KILL {thread}")
        except OperationalError as exc:
            if exc.args[0] != NO_SUCH_THREAD:  # it ended by itself meanwhile
                raise


_LOOKS: dict[str, Callable[[], str | None]] = {
    "chromium": _look_for_chromium,
    "postgresql": _look_for_postgresql,
    "pgbouncer": _look_for_pgbouncer,
    "mariadb": _look_for_mariadb,
    "mysqlclient": _look_for_mysqlclient,
    "rabbitmq": _look_for(RABBITMQ_PORT, "amqp", "pika"),
    "redis": _look_for(REDIS_PORT, "redis"),
    "sqs": _look_for(SQS_PORT, "boto3"),
    "mongodb": _look_for(MONGODB_PORT, "pymongo"),
    "couchdb": _look_for(COUCHDB_PORT, "httpx"),
    "beanstalkd": _look_for(BEANSTALKD_PORT, "greenstalk"),
}
