"""SQL stores come back: servers that are restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
from django.db import connections
from sqlalchemy import create_engine

from kombu_sqlalchemy import metadata
from tests.places import alias
from tests.resilience import Resilience

DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}


class OnDatabase(Resilience):
    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "answer_timeout": self.silence}

    @classmethod
    def prepare(cls, port: int) -> None:
        engine = create_engine(cls.engine_url(port))
        metadata.create_all(engine)
        engine.dispose()

    @classmethod
    def engine_url(cls, port: int, database: str | None = None) -> str:
        return f"{DRIVERS[cls.server]}://kombu@127.0.0.1:{port}/{database or cls.database()}"

    @classmethod
    def database(cls) -> str:
        return "kombu"


class ThroughSQLAlchemy(OnDatabase):
    def url(self, port: int) -> str:
        return f"sqla+{self.engine_url(port)}"


@pytest.mark.server("postgresql")
class TestSQLAlchemyOnPostgreSQL(ThroughSQLAlchemy):
    server = "postgresql"
    ends = ("fast", "immediate", "kill")


@pytest.mark.server("mariadb")
class TestSQLAlchemyOnMariaDB(ThroughSQLAlchemy):
    server = "mariadb"


class ThroughDjango(OnDatabase):
    """In a database with the name that this run's settings have, which another process finds on the private server
    when it is told that server's port."""

    alias: ClassVar[str]
    port_variable: ClassVar[str]
    victim_setup = "django:setup"

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        patch = pytest.MonkeyPatch()
        cls._class_stack.callback(patch.undo)
        patch.setenv(cls.port_variable, str(cls.own.port))

    @classmethod
    def prepare(cls, port: int) -> None:
        engine = create_engine(cls.engine_url(port, "kombu"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {cls.database()}")
        engine.dispose()
        super().prepare(port)

    @classmethod
    def database(cls) -> str:
        return str(connections.settings[cls.alias]["NAME"])

    def url(self, port: int) -> str:
        usual = connections.settings[self.alias].get("OPTIONS", {})
        options = {**usual, "connect_timeout": 2}
        return self.stack.enter_context(alias(self.alias, PORT=port, OPTIONS=options, CONN_MAX_AGE=None))

    @property
    def victim_url(self) -> str:
        return f"django://{self.alias}"


@pytest.mark.server("postgresql")
class TestDjangoOnPostgreSQL(ThroughDjango):
    server = "postgresql"
    ends = ("fast", "immediate", "kill")
    alias = "postgresql"
    port_variable = "KOMBU_PG_PORT"


@pytest.mark.server("mariadb", "mysqlclient")
class TestDjangoOnMariaDB(ThroughDjango):
    server = "mariadb"
    alias = "mariadb"
    port_variable = "KOMBU_MARIADB_PORT"
