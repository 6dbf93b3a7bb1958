"""``sqla+<SQLAlchemy URL>``: queues in a database, without Django."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from kombu.exceptions import InvalidURL
from kombu.sql.dialect import PREFIX
from kombu.sql.patience import read_answer_timeout
from kombu.transport.virtual import Options, VirtualConnection, read_options
from kombu.transport.virtual import Transport as VirtualTransport
from kombu_sqlalchemy.engines import make_engine
from kombu_sqlalchemy.store import ConnectionStore, SQLAlchemyStore

T = TypeVar("T")

_OWN = ("engine", "connection", "engine_options", "table_prefix", "create_tables", "answer_timeout")
_SAY_WHERE = ("engine", "connection", "engine_options")
_DEFAULT_HOST = "localhost"
"""Where only a transport is named."""
_SHARED = frozenset(field.name for field in fields(Options))


class Transport(VirtualTransport):
    """What follows ``sqla+`` or ``sqlalchemy+`` is SQLAlchemy's own URL. Transport options, beside those of every
    store:

    ``engine``
        An :class:`sqlalchemy.Engine` to use; nothing but ``sqla://`` is the URL then.
    ``connection``
        An :class:`sqlalchemy.Connection`: everything happens in its transaction, which the caller commits.
    ``engine_options``
        Arguments of :func:`sqlalchemy.create_engine`.
    ``table_prefix``
        The beginning of the tables' names, ``kombu_``; a schema stands before it with a dot.
    ``create_tables``
        Make the tables that are missing. Without it that is done on SQLite only.
    ``answer_timeout``
        Seconds that the server may say nothing, 30, before a connection to it counts as lost.
    """

    driver_type = "sql"
    driver_name = "sqlalchemy"

    def make_store(self) -> SQLAlchemyStore:
        prefix = self._prefix()
        connection, engine = self._handed_in("connection", Connection), self._handed_in("engine", Engine)
        if connection is not None:
            return ConnectionStore(connection, prefix)
        if engine is not None:
            return SQLAlchemyStore(engine, prefix, self._create_tables())
        settings = self._engine_options()
        engine = make_engine(self._url(), self.address.connect_timeout, settings)
        place = None if settings else _place(engine.url)
        return SQLAlchemyStore(engine, prefix, self._create_tables(), own_engine=True, place=place)

    def establish_connection(self) -> VirtualConnection:
        rest = {name: value for name, value in self.address.options.items() if name not in _OWN}
        if unknown := sorted(rest.keys() - _SHARED):
            known = ", ".join([*_OWN, *sorted(_SHARED)])
            raise InvalidURL(f"unknown transport option {unknown[0]!r}: known are {known}")
        store = self.make_store()
        store.database.answer_timeout = read_answer_timeout(self.address.options)
        connection = VirtualConnection(store, read_options(rest))
        if isinstance(store, ConnectionStore):
            connection.ledger.settle_delay = 0.0  # the caller may commit right after an acknowledgement
        connection.open()
        return connection

    def driver_version(self) -> str:
        return str(sqlalchemy.__version__)

    def _handed_in(self, name: str, kind: type[T]) -> T | None:
        """What this option is, if it is given; it says everything then about the database."""
        options = self.address.options
        given = options.get(name)
        if given is None:
            return None
        if not isinstance(given, kind):
            raise InvalidURL(f"transport option {name}={given!r} is no SQLAlchemy {kind.__name__}")
        also = [f"the option {each}" for each in _SAY_WHERE if each != name and options.get(each)]
        if self.address.hostname not in (None, "", _DEFAULT_HOST) or self.address.virtual_host not in (None, "", "/"):
            also.append("what the URL says, sqla:// is enough")
        if also:
            raise InvalidURL(f"transport option {name} says already which database it is: leave out {also[0]}")
        return given

    def _url(self) -> str:
        url = self.address.hostname or ""
        if "://" not in url:
            raise InvalidURL("which database? sqla+sqlite:///queues.sqlite3, or sqla:// with the option engine")
        return url

    def _prefix(self) -> str:
        given = self.address.options.get("table_prefix", PREFIX)
        if not isinstance(given, str):
            raise InvalidURL(f"transport option table_prefix={given!r} must be text")
        return given

    def _engine_options(self) -> Mapping[str, Any]:
        given = self.address.options.get("engine_options", {})
        if not isinstance(given, Mapping):
            raise InvalidURL(f"transport option engine_options={given!r} must be a mapping")
        if not isinstance(arguments := given.get("connect_args", {}), Mapping):
            raise InvalidURL(f"transport option engine_options: connect_args={arguments!r} must be a mapping")
        return given

    def _create_tables(self) -> bool | None:
        given = self.address.options.get("create_tables")
        if given is not None and not isinstance(given, bool):
            raise InvalidURL(f"transport option create_tables={given!r} must be True or False")
        return given


def _place(url: URL) -> Hashable | None:
    """What makes two URLs the same database with the same rights; None where that is not all in the URL."""
    if url.get_backend_name() == "sqlite":
        return url, os.path.abspath(str(url.database))
    return url if url.host else None
