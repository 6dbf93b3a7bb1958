"""Queues in a database that SQLAlchemy reaches."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import UnboundExecutionError

from kombu.exceptions import NotSupported
from kombu.sql import Dialect, SQLStore
from kombu.sql.dialect import PREFIX
from kombu_sqlalchemy.bound import BoundDatabase, callers_connection
from kombu_sqlalchemy.database import AnyDatabase, EngineDatabase, shown
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
        try:
            theirs, session = callers_connection(connection)
        except UnboundExecutionError as exc:
            raise NotSupported(
                "within: this Session has several databases; hand in its connection to the one of the queue, as in"
                " within=session.connection(bind_arguments={'mapper': Order})"
            ) from exc
        mine = self.database
        assert isinstance(mine, AnyDatabase)  # noqa: S101
        if not same_database(mine.engine, theirs.engine):
            raise NotSupported(
                f"within: this queue is in {mine.name}, not in {shown(theirs.engine)}. If they are the same, spell both"
                " URLs alike"
            )
        announcer = mine.announcer if isinstance(mine, EngineDatabase) else None
        return SQLStore("sqlalchemy", BoundDatabase(theirs, mine.dialect.prefix, announcer, session))


class ConnectionStore(SQLAlchemyStore):
    """All through one connection of the caller's, whose transaction it is part of."""

    def __init__(self, connection: Connection, prefix: str = PREFIX) -> None:
        super(SQLAlchemyStore, self).__init__("sqlalchemy", BoundDatabase(connection, prefix))


def same_database(one: Engine, other: Engine) -> bool:
    """By what their URLs say, however they say it; no name of a host is looked up."""
    if one.pool is other.pool:
        return True
    if _is_its_own(one.url):
        return False
    return one.url == other.url or _place(one) == _place(other)


def _is_its_own(url: URL) -> bool:
    """SQLite in memory, where nobody else gets."""
    if url.get_backend_name() != "sqlite":
        return False
    in_memory = url.database in (None, "", ":memory:", "file::memory:") or url.query.get("mode") == "memory"
    return in_memory and url.query.get("cache") != "shared"


def _place(engine: Engine) -> Hashable:
    """The same for every spelling."""
    kind = engine.dialect.name.replace("mariadb", "mysql")
    if kind == "sqlite":
        return kind, _file(engine.url)
    options = engine.dialect.create_connect_args(engine.url)[1]  # with what the query says, too
    database = options.get("dbname") or options.get("database") or options.get("db")
    if kind == "mysql":
        at = options.get("unix_socket") or tuple(_hosts(options.get("host"), options.get("port"), "3306"))
        return kind, at, database
    at = tuple(_hosts(options.get("host"), options.get("port"), os.environ.get("PGPORT", "5432")))
    return kind, at, database or options.get("user"), options.get("service")


def _hosts(hosts: str | None, ports: int | str | None, default: str) -> Iterator[tuple[str, str]]:
    """PostgreSQL may have several, with one port for all or one for each. A socket's path has capitals."""
    names = (hosts or "").split(",")
    numbers = str(ports or "").split(",")
    for name, number in zip(names, numbers * len(names) if len(numbers) == 1 else numbers, strict=False):
        yield (name if name.startswith(("/", "@")) else name.lower()), number or default


def _file(url: URL) -> str:
    name = url.database or ""
    if "uri" in url.query and name.startswith("file:"):
        if "cache" in url.query and url.query.get("mode") == "memory":
            return name
        name = unquote(urlsplit(name).path)
    return os.path.realpath(name)
