"""Statements by psycopg 3, and those that are used often by libpq itself:
https://www.psycopg.org/psycopg3/docs/api/pq.html.

What stores is prepared. Not so what reads messages: of a prepared statement PostgreSQL keeps the plan, and one for an
empty table reads all of a full one.

Nor may a plan gather what an index gives in order, and sort it. Where vacuum has seen dead rows only, the planner takes
the table for empty, and that for the cheapest way to the first message: it then reads all that a queue has, and has
had. So what reads in order is planned without bitmaps, and the words for that go along with the statement:
https://www.postgresql.org/docs/current/runtime-config-query.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from struct import Struct
from typing import Any

from psycopg import ClientCursor, Cursor, DatabaseError, OperationalError
from psycopg.errors import InvalidSqlStatementName, lookup
from psycopg.pq import DiagnosticField, ExecStatus, Format, PipelineStatus, TransactionStatus, error_message

from kombu.sql.database import Conflict, Row
from kombu.sql.statements.often import Often
from kombu.sql.statements.plain import Statements

_ORDERED = " ORDER BY "
"""In a statement for which the order of an index counts."""
_IN_ORDER = "SET LOCAL enable_bitmapscan = off"
_AS_USUAL = "SET LOCAL enable_bitmapscan TO DEFAULT"
_MOST = 100
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class OfPsycopg(Statements):
    """A cursor of psycopg takes as long to send a statement as PostgreSQL to carry it out: what was prepared goes
    without."""

    def __init__(self, driver: Any, prepare: bool, shared: bool) -> None:
        """``shared``: with an application, which may have begun anything at it."""
        super().__init__(driver)
        self._cursor: Cursor[Any] = Cursor(driver)
        self._pgconn = driver.pgconn
        self._often = Often(_MOST) if prepare else None
        self._shared = shared or not self._may_prepare

    def fetch(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        """Several statements in one message are one transaction, if there is none; parameters have to be in their text:
        https://www.postgresql.org/docs/current/protocol-flow.html."""
        if _ORDERED not in statement:
            with Cursor(self.driver) as usual:
                usual.execute(statement, parameters, prepare=False)
                return usual.fetchall()
        end = "" if _is_alone(self.driver) else f"; {_AS_USUAL}"
        with ClientCursor(self.driver) as cursor:
            cursor.execute(f"{_IN_ORDER}; {statement}{end}", parameters, prepare=False)
            cursor.nextset()
            return cursor.fetchall()

    def run(self, statement: str, parameters: Sequence[Any]) -> int:
        if self._often is not None and (not self._shared or self._may_prepare):
            try:
                if (found := self._run_prepared(self._often, statement, parameters)) is not None:
                    return found
            except InvalidSqlStatementName as exc:
                self._often.forget()
                if self._pgconn.transaction_status != TransactionStatus.IDLE:
                    raise Conflict(f"{exc}: somebody has said DISCARD ALL, and what was prepared is gone") from exc
        self._cursor.execute(statement, parameters, prepare=False)
        return self._cursor.rowcount

    @property
    def _may_prepare(self) -> bool:
        """Not where psycopg has to begin a transaction first; and not in one where psycopg, which prepares what the
        application says, may have forgotten all with the last that rolled back."""
        pgconn = self._pgconn
        match pgconn.transaction_status:
            case TransactionStatus.IDLE:
                usable = self.driver.autocommit
            case TransactionStatus.INTRANS:
                usable = self.driver.prepare_threshold is None
            case _:
                usable = False
        if not usable or pgconn.pipeline_status != PipelineStatus.OFF:
            return False
        return bool(pgconn.parameter_status(b"client_encoding") == b"UTF8")

    def _run_prepared(self, often: Often, statement: str, parameters: Sequence[Any]) -> int | None:
        """None where it was not run, because it is rare or has parameters of other types."""
        name = often.names.get(statement)
        if name is None:
            if not often.is_due(statement):
                return None
            name = often.name(statement)
            _done(self._pgconn.prepare(name.encode(), _numbered(statement)))
        try:
            dumps, formats = _ways(*map(type, parameters))
            values = [dump(parameter) for dump, parameter in zip(dumps, parameters, strict=True)]
        except KeyError:
            return None
        return int(_done(self._pgconn.exec_prepared(name.encode(), values, formats)).command_tuples or 0)


def _text(value: str) -> bytes:
    """Raises KeyError for what psycopg has to refuse."""
    if "\0" in value:
        raise KeyError(value)
    return value.encode()


def _array(values: list[Any]) -> bytes:
    """In PostgreSQL's binary format: dimensions, whether there are NULLs, type, length, first place; and each value.
    Raises KeyError for values of other types, and for none."""
    type_of, dump = _ELEMENTS[type(values[0]) if values else None]
    parts = [_HEAD.pack(1, 0, type_of, len(values), 1)]
    for value in values:
        content = dump(value)
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)


_HEAD = Struct("!5i")
_LENGTH = Struct("!i")
_BIGINT = Struct("!q")
_ELEMENTS: dict[type | None, tuple[int, Callable[[Any], bytes]]] = {
    int: (20, _BIGINT.pack),
    str: (25, str.encode),
    bytes: (17, bytes),
}
"""The type's number and its binary format: https://www.postgresql.org/docs/current/catalog-pg-type.html."""

_BINARY = (bytes, list)
_DUMPS: dict[type, Callable[[Any], bytes | None]] = {
    int: b"%d".__mod__,
    str: _text,
    bytes: bytes,
    bool: lambda value: b"true" if value else b"false",
    list: _array,
    type(None): lambda value: value,
}
"""Arrays and bytes are binary, the others text."""


@lru_cache(maxsize=1000)
def _ways(*types: type) -> tuple[list[Callable[[Any], bytes | None]], list[Format]]:
    """For parameters of these types. Raises KeyError for others."""
    dumps = [_DUMPS[each] for each in types]
    return dumps, [Format.BINARY if each in _BINARY else Format.TEXT for each in types]


def _numbered(statement: str) -> bytes:
    """With PostgreSQL's placeholders, $1 and so on."""
    first, *others = statement.split("%s")
    return "".join([first, *(f"${place}{text}" for place, text in enumerate(others, 1))]).encode()


@contextmanager
def planned_in_order(driver: Any, statement: str) -> Iterator[None]:
    """What is fetched otherwise in this block is planned like that, too: at the cost of more statements, of which
    nobody hears who watches."""
    if _ORDERED not in statement:
        yield
        return
    alone = _is_alone(driver)
    with Cursor(driver) as cursor, driver.transaction() if alone else nullcontext():
        cursor.execute(_IN_ORDER, prepare=False)
        yield
        if not alone:
            cursor.execute(_AS_USUAL, prepare=False)


def _is_alone(driver: Any) -> bool:
    """Whether the next statement is a transaction of its own."""
    return bool(driver.autocommit) and driver.pgconn.transaction_status == TransactionStatus.IDLE


def _done(result: Any) -> Any:
    """Raises the error as psycopg does."""
    if result.status in _DONE:
        return result
    state = result.error_field(DiagnosticField.SQLSTATE)
    if state is None:  # libpq's own: the connection is lost
        raise OperationalError(error_message(result), info=result)
    try:
        kind = lookup(state.decode())
    except KeyError:
        kind = DatabaseError
    raise kind(error_message(result), info=result)
