"""A database as the SQL store uses it, through connections of a SQLAlchemy engine."""

from __future__ import annotations

import json
import logging
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kombu.exceptions import ConnectionError, KombuError, NotSupported, OperationalError
from kombu.sql import MARIADB, MYSQL, POSTGRESQL, SQLITE, Database, Dialect
from kombu.sql.database import Row
from kombu.sql.dialect import PREFIX
from kombu.sql.errors import explained
from kombu.sql.listening import LISTEN, NOTIFY, UNLISTEN, Announcer, Listener
from kombu.sql.liveness import Pulse, is_dead
from kombu.sql.patience import Watch
from kombu.sql.pooler import is_behind_pooler
from kombu.sql.statements import Statements, planned_in_order, statements
from kombu.sql.waiting import POLL, DataVersion, Waiter
from kombu_sqlalchemy import forking
from kombu_sqlalchemy.engines import dialling, secrets, without_secrets

logger = logging.getLogger(__name__)

_BEGIN = {"SQLite": "BEGIN IMMEDIATE", "PostgreSQL": "BEGIN", "MariaDB": "BEGIN", "MySQL": "BEGIN"}
_READ_COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


class AnyDatabase(Database):
    """What a store's own connections and the caller's have in common."""

    def __init__(self, engine: Engine, prefix: str) -> None:
        self.engine = engine
        self.name = shown(engine)
        self._dialect = dialect(engine).prefixed(prefix)
        self._here = _Here()

    @property
    def dialect(self) -> Dialect:
        return self._dialect

    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """As SQLAlchemy sends it, for all who listen."""
        with self._planned_anew(statement):
            return self._execute(statement, parameters).fetchall()  # type: ignore[no-any-return]

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._execute(statement, parameters).rowcount  # type: ignore[no-any-return]

    def _execute(self, statement: str, parameters: Sequence[Any]) -> Any:
        return self.connection.exec_driver_sql(self._placed(statement), tuple(parameters))

    @contextmanager
    def _planned_anew(self, statement: str) -> Iterator[None]:
        """Of a statement that psycopg has prepared PostgreSQL keeps the plan; one for an empty table reads all of a
        full one."""
        driver = _driver(self.connection)
        if not hasattr(driver, "pgconn"):
            yield
            return
        kept, driver.prepare_threshold = driver.prepare_threshold, None
        try:
            with planned_in_order(driver, statement):
                yield
        finally:
            driver.prepare_threshold = kept

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """The session's."""

    def _learn(self) -> None:
        """What only the server knows, once one has connected: its version, and whether it is MariaDB or MySQL."""
        server = self.engine.dialect
        if self._dialect.name == "MariaDB" and not getattr(server, "is_mariadb", True):
            self._dialect = MYSQL.prefixed(self._dialect.prefix)
        self._dialect.check_version(tuple(getattr(server, "server_version_info", None) or self._dialect.oldest))

    @property
    def _placed(self) -> Callable[[str], str]:
        """Puts in the placeholders of the driver."""
        return _with_question_marks if self.engine.dialect.paramstyle == "qmark" else _as_it_is

    @property
    def announces(self) -> bool:
        return self._dialect.name == "PostgreSQL"

    @contextmanager
    def _translated(self, connection: Connection | None = None) -> Iterator[None]:
        """Raise what the driver or SQLAlchemy raises as one of the library's errors."""
        try:
            yield
        except SQLAlchemyError as exc:
            raise self._explained(exc, connection) from exc
        except self.engine.dialect.loaded_dbapi.Error as exc:  # by what speaks with the driver itself
            raise self._explained(exc, connection) from exc

    def _explained(self, exc: Exception, connection: Connection | None, driver: Any = None) -> KombuError:
        error: Any = exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc
        lost = connection is None or connection.invalidated or self.engine.dialect.is_disconnect(error, driver, None)
        url, prefix = self.engine.url, self._dialect.prefix
        command = f"python -m kombu_sqlalchemy upgrade '{without_secrets(url)}'"
        command += f" --prefix {prefix}" if prefix != PREFIX else ""
        migrate = f"run {command}, or ask for them with the option create_tables"
        found = explained(self.name, error, lost=lost, migrate=migrate, prefix=prefix, secrets=secrets(url))
        if connection is None and isinstance(found, ConnectionError):
            found.uncertain = False  # nothing was asked of the database yet
        return found

    @property
    def driver(self) -> Any:
        return None if self._dialect.one_writer else _driver(self.connection)


class EngineDatabase(AnyDatabase):
    """Connections of the store's own, each in autocommit; as many are open as threads use it at the same time."""

    def __init__(
        self,
        engine: Engine,
        prefix: str,
        prepare: Callable[[Connection, Dialect], object],
        place: Hashable | None = None,
    ) -> None:
        super().__init__(engine, prefix)
        self.place = place
        self._prepare = prepare
        self._idle: deque[_Link] = deque()
        self._open = False
        self._listening: WeakSet[Any] = WeakSet()
        self._polls = False
        self._announcer = Announcer(self.name, self._notify, place)
        self._session = _Session(self)
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._dispatch: Any = engine.dispatch
        self._echoes = bool(engine.echo) or logging.getLogger("sqlalchemy.engine.Engine").isEnabledFor(logging.INFO)
        if self._dialect.one_writer:
            forking.watch(self)

    @property
    def connection(self) -> Connection:
        return self._link.connection

    @property
    def _link(self) -> _Link:
        assert self._here.link is not None, "outside a session"  # noqa: S101
        return self._here.link

    @property
    def driver(self) -> Any:
        return None if self._dialect.one_writer else self._link.driver

    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if self._is_watched:
            return super().fetch(statement, parameters)
        return self._link.statements.fetch(statement, parameters)

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        if self._is_watched:
            return super().run(statement, parameters)
        return self._link.statements.run(statement, parameters)

    @property
    def _is_watched(self) -> bool:
        """Whether the application, or SQLAlchemy's log, wants to see each statement."""
        heard = self._dispatch
        return bool(self._echoes or heard.before_cursor_execute or heard.after_cursor_execute)

    def open(self) -> None:
        self._open = True
        with self.session():
            self._learn()
            self._prepare(self.connection, self._dialect)

    def close(self) -> None:
        self._open = False
        while self._idle:
            link = self._idle.pop()
            with self._translated(link.connection), self._patiently(link.driver):
                self._stop_listening(link.driver)
                if link.threshold is not None:
                    link.driver.prepare_threshold = link.threshold
                link.connection.close()

    def close_idle(self) -> None:
        """What nobody uses now."""
        while True:
            try:
                self._forget(self._idle.pop())
            except IndexError:
                return

    def session(self, visiting: bool = False) -> AbstractContextManager[None]:
        return _WITHIN if self._here.link is not None else self._session

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The driver is in autocommit: the words are said to the server."""
        if self._here.depth:
            with self._savepoint():
                yield
            return
        self._say(_BEGIN[self._dialect.name])
        self._here.depth = 1
        try:
            yield
        except BaseException:
            self._roll_back("ROLLBACK")
            self._here.announce.clear()
            raise
        else:
            self._say("COMMIT")
        finally:
            self._here.depth = 0
        self._announce_what_waits()

    in_callers_transaction = False

    @property
    def provisional(self) -> bool:
        return False

    def topology_changes(self) -> None:
        """In no transaction of the caller's."""

    def announce(self, queues: Collection[str]) -> None:
        if self._here.depth:
            self._here.announce.update(queues)
        else:
            self._announcer.announce(queues)

    @property
    def announcer(self) -> Announcer:
        """Of this process's messages in this database."""
        return self._announcer

    def waiter(self) -> Waiter:
        if self._dialect.name == "SQLite":
            return DataVersion(lambda: self._driver)
        if self.engine.dialect.driver == "psycopg":
            return Listener(self._listener)
        return Waiter(POLL)

    def _leave(self, exc: BaseException | None) -> None:
        """Raises what the driver or SQLAlchemy raised as one of the library's errors."""
        link, error = self._link, None
        self._here.link = None
        if exc is None and self._open:
            self._idle.append(link)
            return
        doubtful = isinstance(exc, OperationalError)
        if isinstance(exc, SQLAlchemyError | self._driver_error):
            error = self._explained(exc, link.connection, link.driver)
            doubtful = isinstance(error, OperationalError)
        self._put_back(link, doubtful)
        if error is not None:
            raise error from exc

    def _linked(self) -> _Link:
        """One that is still there."""
        while self._idle:
            link = self._idle.pop()
            if not link.pulse.is_dead():
                return link
            self._forget(link)
        with self._translated():
            return self._connect()

    def _connect(self) -> _Link:
        if self._dialect.one_writer:
            forking.check(self.engine.url.database)
        with dialling(self.answer_timeout):
            connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self._patiently(_driver(connection)):
                return self._link_by(connection)
        except BaseException:
            _end(connection)
            raise

    def _link_by(self, connection: Connection) -> _Link:
        """Made ready for statements."""
        driver = _driver(connection)
        prepares, threshold = True, None
        if self.engine.dialect.driver == "psycopg":
            threshold = driver.prepare_threshold
            prepares = threshold is not None and not is_behind_pooler(driver)
            driver.prepare_threshold = None  # it says DEALLOCATE ALL with a rollback; and behind a pooler nothing stays
        if not self._dialect.updates_return:
            connection.exec_driver_sql(_READ_COMMITTED)
        if self._dialect.one_writer:
            forking.opened(connection)
            connection.begin()  # a listener of the application's may say BEGIN now, and nobody would ever end that
            if driver.in_transaction:
                connection.exec_driver_sql("ROLLBACK")
        question_marks = self.engine.dialect.paramstyle == "qmark"
        ways = statements(driver, self._dialect, question_marks, prepares)
        return _Link(connection, driver, ways, Pulse(driver), threshold)

    def _put_back(self, link: _Link, doubtful: bool) -> None:
        if not self._open or link.connection.invalidated or (doubtful and link.pulse.is_dead()):
            self._forget(link)
        else:
            self._idle.append(link)

    def _stop_listening(self, driver: Any) -> None:
        """Who gets it next from the engine's pool is told nothing."""
        if driver in self._listening and not is_dead(driver):
            driver.execute(UNLISTEN)
            self._listening.discard(driver)

    def _forget(self, link: _Link) -> None:
        _end(link.connection)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        name = f"kombu_{self._here.depth}"
        self._say(f"SAVEPOINT {name}")
        self._here.depth += 1
        try:
            yield
        except BaseException:
            self._roll_back(f"ROLLBACK TO SAVEPOINT {name}")
            raise
        else:
            self._say(f"RELEASE SAVEPOINT {name}")
        finally:
            self._here.depth -= 1

    def _say(self, words: str) -> None:
        self.connection.exec_driver_sql(words)

    def _roll_back(self, words: str) -> None:
        """The error that led here counts. Where not even this works, the connection is not used again."""
        try:
            self._say(words)
        except SQLAlchemyError:
            logger.debug("%s: %s did not succeed", self.name, words, exc_info=True)
            self.connection.invalidate()

    def _announce_what_waits(self) -> None:
        if queues := set(self._here.announce):
            self._here.announce.clear()
            self._announcer.announce(queues)

    def _notify(self, queues: list[str]) -> None:
        with self.session(), self._translated(self.connection), self._patiently(self.driver):
            self.run(NOTIFY, [json.dumps(queues)])

    def _patiently(self, driver: Any) -> Watch:
        """What is waited for at this connection outside the store's operations."""
        return Watch(None if self._dialect.one_writer else driver, self.answer_timeout)

    @property
    def _driver(self) -> Any:
        return self._link.driver

    def _listener(self) -> Any | None:
        driver = self._driver
        if self._polls:
            return None
        if driver not in self._listening:
            if is_behind_pooler(driver):
                logger.info(
                    "%s is behind a connection pooler: waiting consumers ask it instead of listening", self.name
                )
                self._polls = True
                return None
            driver.execute(LISTEN)
            self._listening.add(driver)
        return driver


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection, and the way to its driver."""

    connection: Connection
    driver: Any
    statements: Statements
    pulse: Pulse
    threshold: int | None
    """The application's: psycopg prepares what was said so often."""


class _Session:
    """A database's sessions, of all threads: a class, since a generator would take as long as all else that it does."""

    __slots__ = ("_database",)

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database._here.link = self._database._linked()

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        self._database._leave(exc)


_WITHIN = nullcontext()
"""A session within another one of its thread is that one."""


class _Here(threading.local):
    """A thread's session."""

    def __init__(self) -> None:
        self.link: _Link | None = None
        self.depth = 0
        self.announce: set[str] = set()


def dialect(engine: Engine) -> Dialect:
    """Raises :class:`NotSupported` for a database that this release has no claim for."""
    known = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "mariadb": MARIADB, "mysql": MARIADB}
    found = known.get(engine.dialect.name)
    if found is None:
        raise NotSupported(f"queues can be kept in {', '.join(known)}, not in {engine.dialect.name}")
    if engine.dialect.paramstyle not in ("qmark", "format", "pyformat"):
        raise NotSupported(
            f"the driver {engine.dialect.driver!r} has parameters of style {engine.dialect.paramstyle!r}"
        )
    return found


def shown(engine: Engine) -> str:
    """The database as people know it."""
    return f"database {without_secrets(engine.url)}"


def _end(connection: Connection) -> None:
    """It does not go back to the pool."""
    if not connection.invalidated and not connection.closed:
        connection.invalidate()
    connection.close()


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


@lru_cache
def _with_question_marks(statement: str) -> str:
    return statement.replace("%s", "?")


def _as_it_is(statement: str) -> str:
    return statement
