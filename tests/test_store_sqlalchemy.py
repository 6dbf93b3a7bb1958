"""The SQLAlchemy store keeps every promise of a store, on each database that it is for."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from kombu.testing import (
    AttendanceConformance,
    BrowseConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
    StoreConformance,
    TopologyConformance,
)
from kombu_sqlalchemy import SQLAlchemyStore


class SQLAlchemyConformance(
    StoreConformance,
    TopologyConformance,
    BrowseConformance,
    AttendanceConformance,
    EndingConformance,
    LimitsConformance,
    PauseConformance,
):
    engine: Engine

    def open_store(self) -> SQLAlchemyStore:
        store = SQLAlchemyStore(self.engine)
        store.open()
        return store


class TestOnSQLite(SQLAlchemyConformance):
    @pytest.fixture(autouse=True)
    def _engine(self, sqlite_engine: Engine) -> None:
        self.engine = sqlite_engine


@pytest.mark.server("postgresql")
class TestOnPostgreSQL(SQLAlchemyConformance):
    @pytest.fixture(autouse=True)
    def _engine(self, postgresql_engine: Engine) -> None:
        self.engine = postgresql_engine


@pytest.mark.server("mariadb")
class TestOnMariaDB(SQLAlchemyConformance):
    @pytest.fixture(autouse=True)
    def _engine(self, mariadb_engine: Engine) -> None:
        self.engine = mariadb_engine
