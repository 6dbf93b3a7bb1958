"""Queues in a database that SQLAlchemy reaches."""

from __future__ import annotations

from collections.abc import Hashable

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from kombu.exceptions import NotSupported
from kombu.sql import Dialect, SQLStore
from kombu.sql.dialect import PREFIX
from kombu_sqlalchemy.bound import BoundDatabase, callers_connection
from kombu_sqlalchemy.database import AnyDatabase, EngineDatabase
from kombu_sqlalchemy.tables import make_missing

__all__ = ["SQLAlchemyStore"]


class SQLAlchemyStore(SQLStore):
    """Through ``engine``, from whose pool it keeps a connection for each thread that uses it at the same time.

    ``prefix`` begins the tables' names, behind a schema and a dot perhaps. ``create_tables``: make those that are
    missing; None does so on SQLite only. ``own_engine``: nobody else uses it, so that its pool ends with the store.
    ``place``: what all engines have in common that lead to the same tables with the same rights; otherwise the engine.
    """

    _own: Engine | None = None

    def __init__(
        self,
        engine: Engine,
        prefix: str = PREFIX,
        create_tables: bool | None = None,
        own_engine: bool = False,
        place: Hashable | None = None,
    ) -> None:
        def prepare(connection: Connection, dialect: Dialect) -> None:
            if create_tables or (create_tables is None and dialect.name == "SQLite"):
                make_missing(connection, dialect)

        at = (engine if place is None else place, prefix)
        super().__init__("sqlalchemy", EngineDatabase(engine, prefix, prepare, at))
        self._own = engine if own_engine else None

    def close(self) -> None:
        super().close()
        if self._own is not None:
            self._own.dispose()

    def within(self, connection: object) -> SQLStore:
        """``connection``: a SQLAlchemy Connection or Session on the same database, in a transaction of the caller's."""
        theirs, session = callers_connection(connection)
        mine = self.database
        assert isinstance(mine, AnyDatabase)  # noqa: S101
        if _place(theirs.engine.url) != _place(mine.engine.url):
            raise NotSupported(f"within: this queue is in {mine.name}, not in {theirs.engine.url!r}")
        announcer = mine.announcer if isinstance(mine, EngineDatabase) else None
        return SQLStore("sqlalchemy", BoundDatabase(theirs, mine.dialect.prefix, announcer, session))


class ConnectionStore(SQLAlchemyStore):
    """All through one connection of the caller's, whose transaction it is part of."""

    def __init__(self, connection: Connection, prefix: str = PREFIX) -> None:
        super(SQLAlchemyStore, self).__init__("sqlalchemy", BoundDatabase(connection, prefix))


def _place(url: URL) -> tuple[object, ...]:
    """What makes two URLs the same database."""
    kind = {"mariadb": "mysql"}.get(url.get_backend_name(), url.get_backend_name())
    return kind, url.host or "", url.port, url.database
