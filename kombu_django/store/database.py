"""A database of ``settings.DATABASES`` as the SQL store uses it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from kombu.exceptions import KombuError, NotSupported
from kombu.sql import MARIADB, MYSQL, POSTGRESQL, SQLITE, Database, Dialect
from kombu.sql.database import Row
from kombu.sql.listening import LISTEN, NOTIFY, UNLISTEN, Announcer, Listener
from kombu.sql.liveness import Pulse
from kombu.sql.patience import Watch
from kombu.sql.pooler import is_behind_pooler
from kombu.sql.statements import Statements, planned_in_order, statements
from kombu.sql.waiting import POLL, DataVersion, Waiter
from kombu_django.store.errors import translated

logger = logging.getLogger(__name__)

_changed_in: WeakKeyDictionary[BaseDatabaseWrapper, transaction.Atomic] = WeakKeyDictionary()
"""Connections that changed the topology in a transaction that has not committed, and the outermost block of that."""

_listening: WeakKeyDictionary[Any, WeakSet[DjangoDatabase]] = WeakKeyDictionary()
"""The driver's connections that listen, and for whom."""


class DjangoDatabase(Database):
    """The database ``alias``, each thread through its own connection of Django's.

    The keeper's thread, which rarely needs one, keeps none. The thread that opens the store keeps the one that it
    opened until it closes the store.
    """

    def __init__(self, alias: str, connect_timeout: float = 5.0) -> None:
        self.name = f"database {alias!r}"
        self.alias = alias
        self.place = ("django", alias)
        self.connect_timeout = connect_timeout
        self._dialect: Dialect | None = None
        self._opened: BaseDatabaseWrapper | None = None
        self._here = _Here()
        self._direct: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._told = False
        self._announcer = Announcer(self.name, self._notify, self.place)

    @property
    def dialect(self) -> Dialect:
        if self._dialect is None:
            self._dialect = dialect(self.connection)
        return self._dialect

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's; looked up once for a session, since that takes a while."""
        return self._here.connection or connections[self.alias]

    @property
    def driver(self) -> Any:
        connection = self.connection
        return None if connection.vendor == "sqlite" else connection.connection

    def open(self) -> None:
        dialect(self.connection, connect=False)
        if not self.connection.settings_dict["AUTOCOMMIT"]:
            raise NotSupported(
                f"{self.name} has AUTOCOMMIT=False, where nobody would commit what Kombu does in threads of its own:"
                " take that out of the settings, or give the queues an alias without it"
            )
        opened = self.connection.connection is None
        self._connect()
        with translated(self.alias):
            self.dialect.check_version(_server_version(self.connection))
        self._opened = self.connection if opened else None

    def close(self) -> None:
        """Close what :meth:`open` opened in this thread, unless a transaction is open: nobody else may do it there."""
        self._stop_listening()
        mine, self._opened = self._opened, None
        if mine is not None and mine is self.connection and not self.in_callers_transaction:
            mine.close()

    def session(self, visiting: bool = False) -> AbstractContextManager[None]:
        return _WITHIN if self._here.connection is not None else _Session(self, visiting)

    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if (direct := self._statements()) is not None:
            return direct.fetch(statement, parameters)
        driver: Any = self.connection.connection
        in_order = planned_in_order(driver, statement) if self._is_postgresql() else nullcontext()
        with in_order, self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        if (direct := self._statements()) is not None:
            return direct.run(statement, parameters)
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)

    def _enter(self, visiting: bool) -> bool:
        """Whether the connection is closed again in the end."""
        connection = connections[self.alias]
        visiting = visiting and connection.connection is None and connection is not self._opened
        self._here.connection = connection
        try:
            self._connect()
        except BaseException:
            self._leave(visiting)
            raise
        return visiting

    def _leave(self, visiting: bool) -> None:
        connection = self.connection
        self._here.connection = None
        if visiting and not connection.in_atomic_block:
            self._stop_listening()
            connection.close()

    def _statements(self) -> Statements | None:
        """The driver's; None where the application, or Django's log, wants to see each statement."""
        connection = self.connection
        if connection.execute_wrappers or connection.queries_logged:
            return None
        connection.validate_no_broken_transaction()
        driver: Any = connection.connection
        known = self._here.statements
        if known is None or known.driver is not driver:
            prepare = connection.vendor == "mysql" or (self._is_postgresql() and self._is_direct(driver))
            known = statements(driver, self.dialect, connection.vendor == "sqlite", prepare, shared=True)
            self._here.statements = known
        return known

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Django turns autocommit on again in the end. Where the server has gone by then, ``atomic`` leaves a
        connection that looks like an application's transaction for ever."""
        if self._is_to_begin():
            self.run("BEGIN IMMEDIATE")
        callers = self.in_callers_transaction
        try:
            with transaction.atomic(using=self.alias):
                yield
        except BaseException:
            if not callers and self.in_callers_transaction:
                with suppress(Error):
                    self.connection.close()
            raise

    def _is_to_begin(self) -> bool:
        """On SQLite, where an application that commits itself has begun nothing yet: ``atomic`` makes a savepoint then,
        which commits when it ends."""
        connection = self.connection
        if connection.vendor != "sqlite" or connection.autocommit or connection.in_atomic_block:
            return False
        driver: Any = connection.connection
        return not driver.in_transaction

    @property
    def in_callers_transaction(self) -> bool:
        """In an ``atomic`` block, or where the application has said ``set_autocommit(False)`` and commits itself."""
        connection = self.connection
        return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)

    @property
    def provisional(self) -> bool:
        outermost = self.connection.atomic_blocks[:1]
        return bool(outermost) and _changed_in.get(self.connection) is outermost[0]

    def topology_changes(self) -> None:
        connection = self.connection
        if len(connection.atomic_blocks) > 1:  # the innermost is this store's
            _changed_in[connection] = connection.atomic_blocks[0]
            transaction.on_commit(lambda: _changed_in.pop(connection, None), using=self.alias)

    def waiter(self) -> Waiter:
        vendor = self.connection.vendor
        if vendor == "sqlite":
            return DataVersion(self._sqlite)
        if self._is_postgresql():
            return Listener(self._listener)
        return Waiter(POLL)

    @property
    def announces(self) -> bool:
        return self.connection.vendor == "postgresql"

    def announce(self, queues: Collection[str]) -> None:
        if self.connection.in_atomic_block:
            transaction.on_commit(lambda: self._announcer.announce(queues), using=self.alias)
        else:
            self._announcer.announce(queues)

    def _notify(self, queues: list[str]) -> None:
        with self.session(), self._translated(), self._patiently():
            self.run(NOTIFY, [json.dumps(queues)])

    @contextmanager
    def _translated(self, began_with: object = None) -> Iterator[None]:
        """The driver's errors as Django's, and those as the library's."""
        with translated(self.alias, began_with=began_with), self.connection.wrap_database_errors:
            yield

    def _is_postgresql(self) -> bool:
        """By psycopg 3, which has what waiting and preparing take."""
        if self.connection.vendor != "postgresql":
            return False
        from django.db.backends.postgresql.psycopg_any import is_psycopg3

        return bool(is_psycopg3)

    def _connect(self) -> None:
        """Anew where the server has hung up since the last statement."""
        connection = self.connection
        if connection.connection is not None and not self.in_callers_transaction and self._has_hung_up(connection):
            connection.close()
        if connection.connection is None:
            in_time = _connecting(connection, self.connect_timeout, self.answer_timeout)
            with translated(self.alias, before=True), _whole(connection), in_time:
                connection.ensure_connection()

    def _has_hung_up(self, connection: BaseDatabaseWrapper) -> bool:
        here = self._here
        if here.pulse is None or here.pulse.driver is not connection.connection:
            here.pulse = Pulse(connection.connection)
        return here.pulse.is_dead()

    def _patiently(self) -> Watch:
        """What is waited for at this thread's connection outside the store's operations."""
        return Watch(self.driver, self.answer_timeout)

    def _sqlite(self) -> Any:
        self.connection.ensure_connection()
        return self.connection.connection

    def _listener(self) -> Any | None:
        self.connection.ensure_connection()
        driver: Any = self.connection.connection
        if self.in_callers_transaction or not self._is_direct(driver):
            return None
        if driver not in _listening:
            self.run(LISTEN)
            _listening[driver] = WeakSet()
        _listening[driver].add(self)
        return driver

    def _stop_listening(self) -> None:
        """Unless another store does, too, at this thread's connection: who has that next is told nothing."""
        connection = self.connection
        listeners = _listeners(connection)
        if listeners is None or self.in_callers_transaction:
            return
        listeners.discard(self)
        if not listeners:
            try:
                with translated(self.alias), self._patiently():
                    _unlisten(connection)
            except KombuError as exc:
                logger.debug("%s: a lost connection listens no more: %s", self.name, exc)

    def _is_direct(self, driver: Any) -> bool:
        """Whether no pooler is between; that is asked once for a connection, and said once where there is one."""
        found = self._direct.get(driver)
        if found is None:
            found = self._direct[driver] = not is_behind_pooler(driver)
            if not found and not self._told:
                self._told = True
                logger.info("%s is behind a connection pooler: consumers ask it instead of listening", self.name)
        return found


class _Session:
    """One of a database's sessions: a class, since a generator would take longer than all else that it does."""

    __slots__ = ("_database", "_driver", "_visiting")

    def __init__(self, database: DjangoDatabase, visiting: bool) -> None:
        self._database = database
        self._visiting = visiting
        self._driver: object = None

    def __enter__(self) -> None:
        self._visiting = self._database._enter(self._visiting)
        self._driver = self._database.connection.connection

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        try:
            if exc is not None and not isinstance(exc, KombuError):
                with self._database._translated(self._driver):
                    raise exc
        finally:
            self._database._leave(self._visiting)


_WITHIN = nullcontext()
"""A session within another one of its thread is that one."""


class _Here(threading.local):
    """A thread's: the connection of its session, and the way to a driver."""

    def __init__(self) -> None:
        self.connection: BaseDatabaseWrapper | None = None
        self.statements: Statements | None = None
        self.pulse: Pulse | None = None


@contextmanager
def _whole(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """One that is lost before Django has turned autocommit on looks like an application's transaction for ever."""
    try:
        yield
    except BaseException:
        with suppress(Error):
            connection.close()
        raise


@contextmanager
def _connecting(connection: BaseDatabaseWrapper, seconds: float, limit: float) -> Iterator[None]:
    """Within ``seconds``, unless the settings say otherwise, and then ``limit`` for all that Django says to begin with:
    psycopg would wait for two minutes."""
    if connection.vendor == "sqlite":
        yield
        return
    connect = connection.get_new_connection

    def connect_in_time(settings: dict[str, Any]) -> Any:
        driver = connect({"connect_timeout": max(round(seconds), 2), **settings})
        watch.begin(driver)
        return driver

    connection.get_new_connection = connect_in_time  # type: ignore[method-assign, assignment]
    try:
        with Watch(None, limit) as watch:
            yield
    finally:
        del connection.get_new_connection


def _listeners(connection: BaseDatabaseWrapper) -> WeakSet[DjangoDatabase] | None:
    if connection.vendor != "postgresql" or connection.connection is None:
        return None
    return _listening.get(connection.connection)


def _unlisten(connection: BaseDatabaseWrapper) -> None:
    _listening.pop(connection.connection, None)
    with connection.cursor() as cursor:
        cursor.execute(UNLISTEN)


def _taken_from_a_pool(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Whoever put it there while it listened, it was not a store."""
    if _listeners(connection) is not None:
        _unlisten(connection)


connection_created.connect(_taken_from_a_pool, dispatch_uid="kombu_django.store")


def dialect(connection: BaseDatabaseWrapper, connect: bool = True) -> Dialect:
    """Raises :class:`NotSupported` for a database that this release has no claim for."""
    known = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "mysql": MARIADB}
    found = known.get(connection.vendor)
    if found is None:
        raise NotSupported(f"django:// needs {', '.join(known)}, not {connection.vendor}")
    if found is MARIADB and connect and not connection.mysql_is_mariadb:  # type: ignore[attr-defined]
        return MYSQL
    return found


def _server_version(connection: BaseDatabaseWrapper) -> tuple[int, ...]:
    if connection.vendor == "sqlite":
        from sqlite3 import sqlite_version_info

        return sqlite_version_info
    version = connection.get_database_version()
    return tuple(version)
