"""The database inside a transaction of the caller's: what a store does there commits or rolls back with it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, NestedTransaction, event
from sqlalchemy.exc import SQLAlchemyError

from kombu.exceptions import NotSupported, OperationalError
from kombu.sql.listening import NOTIFY, Announcer
from kombu.sql.waiting import POLL, Waiter
from kombu_sqlalchemy.database import AnyDatabase

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction


logger = logging.getLogger(__name__)


class BoundDatabase(AnyDatabase):
    """One connection, used by one thread at a time; it is the caller who commits and closes it."""

    def __init__(
        self, connection: Connection, prefix: str, announcer: Announcer | None = None, session: Session | None = None
    ) -> None:
        super().__init__(connection.engine, prefix)
        self._connection = connection
        self._session = session
        self._announcer = announcer or Announcer(self.name, self._notify, None)
        self._lock = threading.RLock()
        self._provisional = False
        self._learn()

    @property
    def connection(self) -> Connection:
        return self._connection

    def open(self) -> None:
        """It is. Raises :class:`OperationalError` where it would be no part of a transaction."""
        refuse_autocommit(self._connection, "transport option connection")

    def close(self) -> None:
        """It is the caller's."""

    @contextmanager
    def session(self, visiting: bool = False) -> Iterator[None]:
        with self._lock, self._translated(self._connection):
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A savepoint. Python's driver of SQLite begins no transaction for one, so that its end would commit."""
        driver: Any = self._connection.connection.dbapi_connection
        if self.dialect.one_writer and not driver.in_transaction:
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        savepoint = self._connection.begin_nested()
        try:
            yield
        except BaseException:
            self._roll_back(savepoint)
            raise
        savepoint.commit()

    @property
    def in_callers_transaction(self) -> bool:
        return True

    @property
    def provisional(self) -> bool:
        return self._provisional

    def topology_changes(self) -> None:
        if not self._provisional:
            self._provisional = True
            for ending in ("commit", "rollback"):
                event.listen(self._connection, ending, self._settled, once=True)

    def announce(self, queues: Collection[str]) -> None:
        """After the commit of a session; of a bare connection nobody hears that, so it is part of the transaction."""
        if self._session is not None:
            _announcements(self._session).add(self._announcer, queues)
        elif wanted := self._announcer.wanted(queues):
            self._notify(wanted)

    def waiter(self) -> Waiter:
        return Waiter(POLL)

    def _roll_back(self, savepoint: NestedTransaction) -> None:
        """The error that led here counts: after a deadlock MariaDB has no savepoint any more."""
        try:
            savepoint.rollback()
        except SQLAlchemyError:
            logger.debug("%s: a savepoint could not be rolled back", self.name, exc_info=True)

    def _notify(self, queues: list[str]) -> None:
        self.run(NOTIFY, [json.dumps(queues)])

    def _settled(self, _: Connection) -> None:
        self._provisional = False


class _Announcements:
    """What a session has stored: announced when its transaction has committed, not with a savepoint's end."""

    def __init__(self, session: Session) -> None:
        self._queues: dict[Announcer, set[str]] = {}
        event.listen(session, "after_commit", self._announce)
        event.listen(session, "after_transaction_end", self._forget)

    def add(self, announcer: Announcer, queues: Collection[str]) -> None:
        self._queues.setdefault(announcer, set()).update(queues)

    def _announce(self, session: Session) -> None:
        if not session.in_nested_transaction():
            for announcer, queues in self._queues.items():
                announcer.announce(queues)

    def _forget(self, _: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            self._queues.clear()


def _announcements(session: Session) -> _Announcements:
    """The session's own."""
    found = session.info.get(_Announcements)
    if found is None:
        found = session.info[_Announcements] = _Announcements(session)
    assert isinstance(found, _Announcements)  # noqa: S101
    return found


def callers_connection(given: object) -> tuple[Connection, Any]:
    """The connection that ``given`` is or has, and the session if it is one.

    Raises :class:`NotSupported` for anything else, and :class:`OperationalError` for one in autocommit.
    """
    connection, session = given, None
    if not isinstance(given, Connection):
        from sqlalchemy.orm import Session, scoped_session

        if isinstance(given, scoped_session):
            given = given()
        if not isinstance(given, Session):
            raise NotSupported(f"within={given!r}: a SQLAlchemy Connection or Session is needed")
        connection, session = given.connection(), given
    assert isinstance(connection, Connection)  # noqa: S101
    refuse_autocommit(connection, f"within={given!r}")
    return connection, session


def refuse_autocommit(connection: Connection, said: str) -> None:
    """Raises :class:`OperationalError` for a connection that commits each statement; ``said`` is how it was given."""
    level = connection.get_execution_options().get("isolation_level") or getattr(
        connection.dialect, "_on_connect_isolation_level", None
    )
    if level == "AUTOCOMMIT":
        raise OperationalError(
            f"{said}: this connection commits each statement, it has no transaction; give it another isolation_level"
        )
