"""SQL stores come back: servers that are restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sqlalchemy import create_engine

from kombu_sqlalchemy import metadata
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
    def engine_url(cls, port: int) -> str:
        return f"{DRIVERS[cls.server]}://kombu@127.0.0.1:{port}/kombu"


class ThroughSQLAlchemy(OnDatabase):
    def url(self, port: int) -> str:
        return f"sqla+{self.engine_url(port)}"


@pytest.mark.server("postgresql")
class TestSQLAlchemyOnPostgreSQL(ThroughSQLAlchemy):
    server = "postgresql"


@pytest.mark.server("mariadb")
class TestSQLAlchemyOnMariaDB(ThroughSQLAlchemy):
    server = "mariadb"
