"""The plugin for what is promised on every database and through both doors: a place is a database and a way to it.

A test that needs only some places says so: ``@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from django.db import connections, transaction
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from kombu import Connection
from tests import servers
from tests.proxy import Proxy

T = TypeVar("T")

_SERVERS: dict[str, tuple[str, ...]] = {
    "sqla-sqlite": (),
    "sqla-postgresql": ("postgresql",),
    "sqla-mariadb": ("mariadb",),
    "sqla-mysqlclient": ("mariadb", "mysqlclient"),
    "django-sqlite": (),
    "django-postgresql": ("postgresql",),
    "django-mariadb": ("mariadb", "mysqlclient"),
}
_ALIASES = {"sqlite": "default", "postgresql": "postgresql", "mariadb": "mariadb"}


def places(*names: str) -> list[object]:
    """For ``parametrize``, each with the mark of the server it needs."""
    return [
        pytest.param(name, marks=pytest.mark.server(*_SERVERS[name]) if _SERVERS[name] else (), id=name)
        for name in names
    ]


def but(*kinds: str) -> list[object]:
    """All places that are none of these."""
    return places(*(name for name in _SERVERS if not set(kinds) & set(name.split("-"))))


EVERYWHERE = but("mysqlclient")
"""One driver is enough for what the server decides."""
ON_SERVERS = but("sqlite")
WITH_EVERY_DRIVER = but()
ON_POSTGRESQL = places("sqla-postgresql", "django-postgresql")
ON_MARIADB = places("sqla-mariadb", "django-mariadb")
ON_SQLITE = places("sqla-sqlite", "django-sqlite")


@dataclass(slots=True)
class Place:
    """``url`` is the door's, for :class:`kombu.Connection`; ``engine`` is SQLAlchemy's, for looking from outside."""

    name: str
    url: str
    engine: Engine
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def door(self) -> str:
        return self.name.partition("-")[0]

    @property
    def database(self) -> str:
        """sqlite, postgresql or mariadb."""
        return "mariadb" if self.name == "sqla-mysqlclient" else self.name.partition("-")[2]

    @property
    def sqla_url(self) -> str:
        """SQLAlchemy's way to the same database."""
        return f"sqla+{self.engine.url.render_as_string(hide_password=False)}"

    def connect(self, url: str | None = None, **options: object) -> Connection:
        """Until the test ends; what is lost by then is nobody's concern."""
        connection = Connection(url or self.url, transport_options=options)
        self._stack.callback(connection.collect)
        return connection

    def in_background(self, call: Callable[..., T], *args: object, **options: object) -> Future[T]:
        """In a thread of its own, which leaves no connection of Django's behind."""

        def run() -> T:
            try:
                return call(*args, **options)
            finally:
                connections.close_all()

        return self._stack.enter_context(ThreadPoolExecutor(1)).submit(run)

    def proxy(self) -> Proxy:
        port = servers.PG_PORT if self.database == "postgresql" else servers.MARIADB_PORT
        return self._stack.enter_context(Proxy(port))

    def through(self, proxy: Proxy) -> str:
        """The URL for the same way, past the proxy. Django keeps its connections for some time there."""
        if self.door == "sqla":
            return "sqla+" + make_url(self.url[5:]).set(port=proxy.port).render_as_string(hide_password=False)
        return self.aliased(PORT=proxy.port, CONN_MAX_AGE=600)

    def with_options(self, **options: object) -> str:
        """The URL for the same way, with these options of the driver's ``connect``."""
        if self.door == "sqla":
            return "sqla+" + make_url(self.url[5:]).update_query_dict(options).render_as_string(hide_password=False)  # type: ignore[arg-type]
        return self.aliased(OPTIONS={**connections[self._alias].settings_dict["OPTIONS"], **options})

    @contextmanager
    def transaction(self, url: str | None = None) -> Iterator[Any]:
        """The caller's own, through the same door: what ``within`` is given."""
        url = url or self.url
        if self.door == "django":
            alias = url.removeprefix("django://")
            with transaction.atomic(using=alias):
                yield alias
            return
        engine = create_engine(url.removeprefix("sqla+"), poolclass=NullPool)
        with engine.begin() as connection:
            yield connection

    def aliased(self, **changes: object) -> str:
        """The URL of another of Django's aliases, for the same database with other settings."""
        return self._stack.enter_context(alias(self._alias, **changes))

    def bodies(self) -> list[str]:
        """Of all messages that are stored, as they would be delivered."""
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT body FROM kombu_message ORDER BY id")
            return [bytes(body).decode() for (body,) in rows]

    @property
    def _alias(self) -> str:
        return _ALIASES[self.database]

    def close(self) -> None:
        self._stack.close()
        self.engine.dispose()


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    door, _, database = request.param.partition("-")
    if door == "django":
        request.getfixturevalue("tables" if database == "sqlite" else f"{database}_tables")
        url, raw = f"django://{_ALIASES[database]}", sqlalchemys_url(_ALIASES[database])
    else:
        database = "mariadb" if database == "mysqlclient" else database
        made: Engine = request.getfixturevalue(f"{database}_engine")
        address = made.url
        if request.param == "sqla-mysqlclient":
            address = address.set(drivername="mysql+mysqldb", query={})
        raw = address.render_as_string(hide_password=False)
        url = f"sqla+{raw}"
    place = Place(request.param, url, create_engine(raw, poolclass=NullPool))
    yield place
    place.close()


def sqlalchemys_url(alias: str) -> str:
    """SQLAlchemy's way to the database of Django's alias."""
    name = str(connections[alias].settings_dict["NAME"])
    match connections[alias].vendor:
        case "postgresql":
            return servers.postgresql_url(name).replace("postgresql://", "postgresql+psycopg://")
        case "mysql":
            return servers.mariadb_url(name)
        case _:
            return f"sqlite:///{name}"


@contextmanager
def alias(like: str, **changes: object) -> Iterator[str]:
    """The URL of an alias that Django has for a while: the settings of another, but for ``changes``."""
    name = f"{like}{len(connections.settings)}"
    connections.settings[name] = {**connections.settings[like], **changes}
    try:
        yield f"django://{name}"
    finally:
        connections[name].close()
        del connections[name], connections.settings[name]
