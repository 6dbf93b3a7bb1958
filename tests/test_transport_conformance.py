"""Every transport keeps what is promised of transports, or refuses it; the table in the documentation says which."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kombu.testing.transports import TransportCase, TransportConformance, table
from tests.rabbitmq import OnRabbitMQ
from tests.together import together
from tests.transport_subjects import (
    OnBeanstalk,
    OnCouchDB,
    OnFile,
    OnFilesystem,
    OnMariaDB,
    OnMemory,
    OnMongoDB,
    OnPostgreSQL,
    OnRedis,
    OnSQLAlchemy,
    OnSQLite,
    OnSQS,
)

WRITES = bool(os.environ.get("KOMBU_WRITE_TABLE"))
OUTDATED = "the table is not up to date: python scripts/compare_transports.py writes it"
PAGE = Path(__file__).parent.parent / "docs" / "transports" / "comparison.rst"


@pytest.fixture(scope="class", autouse=True)
def _is_what_the_table_says(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of each transport that was tried in full, where that was: the tests of each may run in another process."""
    yield
    for name, case in COLUMNS.items():
        if case is request.cls and table.is_complete(case) and not WRITES:
            assert table.column(case) == table.parse(PAGE.read_text()).get(name), OUTDATED


class TestMemory(OnMemory):
    pass


@pytest.mark.usefixtures("tables")
class TestDjangoOnSQLite(OnSQLite):
    pass


@pytest.mark.server("postgresql")
@pytest.mark.usefixtures("postgresql_tables")
class TestDjangoOnPostgreSQL(OnPostgreSQL):
    pass


@pytest.mark.server("mariadb", "mysqlclient")
@pytest.mark.usefixtures("mariadb_tables")
class TestDjangoOnMariaDB(OnMariaDB):
    pass


class TestSQLAlchemyOnSQLite(OnSQLAlchemy):
    @pytest.fixture(autouse=True)
    def _engine(self, sqlite_engine: Engine) -> None:
        self.use(sqlite_engine)


@pytest.mark.server("postgresql")
class TestSQLAlchemyOnPostgreSQL(OnSQLAlchemy):
    @pytest.fixture(autouse=True)
    def _engine(self, postgresql_engine: Engine) -> None:
        self.use(postgresql_engine)


@pytest.mark.server("mariadb")
class TestSQLAlchemyOnMariaDB(OnSQLAlchemy):
    @pytest.fixture(autouse=True)
    def _engine(self, mariadb_engine: Engine) -> None:
        self.use(mariadb_engine)


class TestFilesystem(OnFilesystem):
    pass


@pytest.mark.server("redis")
class TestRedis(OnRedis):
    pass


@pytest.mark.server("couchdb")
@pytest.mark.once
class TestCouchDB(OnCouchDB):
    pass


@pytest.mark.server("beanstalkd")
@pytest.mark.once
class TestBeanstalk(OnBeanstalk):
    pass


@pytest.mark.server("mongodb")
@pytest.mark.once
class TestMongoDB(OnMongoDB):
    pass


@pytest.mark.server("sqs")
@pytest.mark.once
@together(5)
class TestSQS(OnSQS):
    pass


@pytest.mark.server("rabbitmq")
class TestAMQP(OnRabbitMQ):
    transport = "amqp"
    scheme = "amqp"


@pytest.mark.server("rabbitmq")
class TestPika(OnRabbitMQ):
    transport = "pika"
    scheme = "pika"


class TestOwnTransport(OnFile):
    pass


COLUMNS: dict[str, type[TransportCase]] = {
    "memory": TestMemory,
    "django on SQLite": TestDjangoOnSQLite,
    "django on PostgreSQL": TestDjangoOnPostgreSQL,
    "django on MariaDB": TestDjangoOnMariaDB,
    "sqlalchemy on SQLite": TestSQLAlchemyOnSQLite,
    "sqlalchemy on PostgreSQL": TestSQLAlchemyOnPostgreSQL,
    "sqlalchemy on MariaDB": TestSQLAlchemyOnMariaDB,
    "filesystem": TestFilesystem,
    "redis": TestRedis,
    "couchdb": TestCouchDB,
    "beanstalk": TestBeanstalk,
    "sqs": TestSQS,
    "mongodb": TestMongoDB,
    "amqp": TestAMQP,
    "pika": TestPika,
    "sqlite-file, the example": TestOwnTransport,
}


def test_the_table_in_the_documentation_is_what_came_of_it() -> None:
    """For the transports that were tried in full; the one in memory is, whatever was selected."""
    table.survey(TestMemory)
    written = PAGE.read_text() if PAGE.exists() else ""
    tried = {name: table.column(case) for name, case in COLUMNS.items() if table.is_complete(case)}
    columns = {**table.parse(written), **tried}
    made = table.render(
        {name: columns[name] for name in COLUMNS if name in columns}, table.promises_of(TransportConformance)
    )
    if WRITES:
        PAGE.write_text(made)
    else:
        assert made == written, OUTDATED
