"""What the revisions do, unless it is done: ``kombu_django`` makes the same tables, and either may come first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol

from alembic import op
from alembic.operations import Operations
from sqlalchemy import Column, ColumnElement, Index, Inspector, MetaData, Table, UniqueConstraint, inspect
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, DropTable

from kombu.sql.dialect import PREFIX
from kombu_sqlalchemy.schema import partial

Part = Column[Any] | Index | UniqueConstraint
IndexColumns = Sequence[str | ColumnElement[Any]]


class Growing(Protocol):
    """What a revision adds to."""

    def create(self, name: str, *parts: Part) -> None:
        """A table; it and its indexes and constraints are named without the prefix."""

    def add(self, name: str, column: Column[Any]) -> None:
        """A column of a table that is there; its default is for the rows that are there too, and does not stay."""

    def replace(self, name: str, old: str, new: str, columns: IndexColumns, where: str | None = None) -> None:
        """An index of a table that is there, by another; of rows ``where`` this holds, on a database that can."""


class Shrinking(Protocol):
    """What the way back of a revision takes from."""

    def remove(self, name: str, column: str) -> None: ...

    def replace(self, name: str, old: str, new: str, columns: IndexColumns, where: str | None = None) -> None: ...

    def drop(self, name: str) -> None: ...


class Tables:
    """Those of a database; or, offline, of one that nobody can look at: there the statements look, where they can."""

    def __init__(self, operations: Operations) -> None:
        context = operations.get_context()
        self._op = operations
        self._schema, self._prefix = split(context.opts.get("kombu_prefix", PREFIX))
        self._offline = context.as_sql
        self._server = context.dialect

    def create(self, name: str, *parts: Part) -> None:
        table = self._table(name, *parts)
        if self._offline:
            self._op.execute(CreateTable(table, if_not_exists=True))
            for index in in_order(table):
                self._op.execute(CreateIndex(index, if_not_exists=self._says_if))
            return
        table.create(self._op.get_bind(), checkfirst=True)
        for index in in_order(table):
            index.create(self._op.get_bind(), checkfirst=True)

    def add(self, name: str, column: Column[Any]) -> None:
        table = self._table(name)
        if self._offline:
            self._say_add(table, column)
        elif column.name not in self._columns(table):
            self._op.add_column(table.name, column, schema=self._schema)
        if column.server_default is not None and self._server.name != "sqlite":
            self._forget_default(table, column)

    def remove(self, name: str, column: str) -> None:
        table = self._table(name)
        if self._offline or column in self._columns(table):
            self._op.drop_column(table.name, column, schema=self._schema)

    def replace(self, name: str, old: str, new: str, columns: IndexColumns, where: str | None = None) -> None:
        """The new one first, so that there is always one."""
        table, before, after = (self._prefix + each for each in (name, old, new))
        there, says_if = set[str | None](), self._offline and self._says_if
        if not self._offline:
            there.update(index["name"] for index in self._inspector.get_indexes(table, self._schema))
        if after not in there:
            of = partial(where) if where else {}
            self._op.create_index(after, table, [*columns], schema=self._schema, if_not_exists=says_if or None, **of)
        if self._offline or before in there:
            self._op.drop_index(before, table, schema=self._schema, if_exists=says_if or None)

    def drop(self, name: str) -> None:
        self._op.execute(DropTable(self._table(name), if_exists=True))

    def _table(self, name: str, *parts: Part) -> Table:
        for part in parts:
            if not isinstance(part, Column):
                part.name = f"{self._prefix}{part.name}"
        return Table(self._prefix + name, MetaData(schema=self._schema), *parts, sqlite_autoincrement=True)

    def _columns(self, table: Table) -> dict[str, object]:
        """With their defaults."""
        columns = self._inspector.get_columns(table.name, schema=self._schema)
        return {each["name"]: each["default"] for each in columns}

    @property
    def _inspector(self) -> Inspector:
        looked: Inspector = inspect(self._op.get_bind())
        return looked

    def _say_add(self, table: Table, column: Column[Any]) -> None:
        table.append_column(column)
        name = self._server.identifier_preparer.format_table(table)
        unless = "IF NOT EXISTS " if self._says_if else ""
        self._op.execute(f"ALTER TABLE {name} ADD COLUMN {unless}{CreateColumn(column).compile(dialect=self._server)}")

    def _forget_default(self, table: Table, column: Column[Any]) -> None:
        if self._offline or self._columns(table)[column.name] is not None:
            self._op.alter_column(
                table.name,
                column.name,
                schema=self._schema,
                server_default=None,
                existing_type=column.type,
                existing_nullable=column.nullable,
            )

    @property
    def _says_if(self) -> bool:
        """Whether the server knows IF NOT EXISTS for columns and indexes."""
        return self._server.name == "postgresql" or bool(getattr(self._server, "is_mariadb", False))


def upgrading(change: Callable[[Growing], None]) -> Callable[..., None]:
    """The ``upgrade()`` of a revision, to be run by Alembic, or with the tables that are to grow."""

    @wraps(change)
    def upgrade(tables: Growing | None = None, **_: object) -> None:
        change(tables or Tables(Operations(op.get_context())))

    return upgrade


def downgrading(change: Callable[[Shrinking], None]) -> Callable[..., None]:
    """The ``downgrade()`` of a revision, likewise."""

    @wraps(change)
    def downgrade(tables: Shrinking | None = None, **_: object) -> None:
        change(tables or Tables(Operations(op.get_context())))

    return downgrade


def split(prefix: str) -> tuple[str | None, str]:
    """The schema of a prefix, and what is left."""
    schema, _, prefix = prefix.rpartition(".")
    return schema or None, prefix


def in_order(table: Table) -> list[Index]:
    """Its indexes."""
    return sorted(table.indexes, key=lambda index: str(index.name))
