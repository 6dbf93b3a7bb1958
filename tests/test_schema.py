"""Both doors make the same tables, on every database, whichever comes first and however far the other was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, inspect

from kombu_sqlalchemy import make_metadata, metadata, migrating
from kombu_sqlalchemy.state import made

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ON_SERVERS = [
    pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
    pytest.param("mariadb", marks=pytest.mark.server("mariadb", "mysqlclient")),
]
TABLES = sorted(metadata.tables)
WAYS: dict[str, Callable[[Doors], None]] = {
    "Alembic": lambda doors: doors.upgrade(),
    "create_all": lambda doors: doors.create_all(),
    "Django, then Alembic": lambda doors: (doors.migrate(), doors.upgrade()),
    "Alembic, then Django": lambda doors: (doors.upgrade(), doors.migrate()),
    "create_all, then both": lambda doors: (doors.create_all(), doors.migrate(), doors.upgrade()),
    "Alembic to 0001, then Django": lambda doors: (doors.upgrade("kombu_0001"), doors.migrate()),
    "Alembic to 0002, then Django": lambda doors: (doors.upgrade("kombu_0002"), doors.migrate()),
    "Django to 0001, then Alembic": lambda doors: (doors.migrate("0001"), doors.upgrade()),
    "Django to 0002, then Alembic": lambda doors: (doors.migrate("0002"), doors.upgrade()),
    "Django to 0001, Alembic to 0002, then Django": lambda doors: (
        doors.migrate("0001"),
        doors.upgrade("kombu_0002"),
        doors.migrate(),
    ),
    "Alembic to 0003, then Django": lambda doors: (doors.upgrade("kombu_0003"), doors.migrate()),
    "Django to 0003, then Alembic": lambda doors: (doors.migrate("0003"), doors.upgrade()),
    "step by step in turns": lambda doors: (
        doors.upgrade("kombu_0001"),
        doors.migrate("0002"),
        doors.upgrade("kombu_0002"),
        doors.migrate(),
        doors.upgrade(),
    ),
}


def test_both_doors_make_the_same_tables_however_they_take_turns(doors: Doors) -> None:
    doors.migrate()
    by_django = doors.look(described)
    assert sorted(by_django) == TABLES
    for way, go in WAYS.items():
        doors.clear()
        go(doors)
        found = doors.look(described)
        for table in TABLES:
            assert found[table] == by_django[table], f"{way}: {table}"


@pytest.mark.parametrize("doors", ON_SERVERS, indirect=True)
def test_no_column_that_came_later_keeps_a_default_of_its_own(doors: Doors) -> None:
    """On SQLite a column cannot come without one."""
    doors.upgrade()
    columns = inspect(doors.engine).get_columns("kombu_queue")
    assert {each["name"]: each["default"] for each in columns if each["name"] != "id"} == {
        each.name: None for each in metadata.tables["kombu_queue"].columns if each.name != "id"
    }


def test_the_revisions_together_make_what_the_metadata_says() -> None:
    [*_, (_, things)] = made(migrating.scripts(), "q_")
    assert sorted(things) == sorted(_things())


def _things() -> Iterator[str]:
    for table in make_metadata("q_").tables.values():
        yield table.name
        yield from (f"{table.name}.{column.name}" for column in table.columns)
        yield from (f"{table.name} index {index.name}" for index in table.indexes)


def described(connection: Connection) -> dict[str, set[Any]]:
    """What the database itself says of its tables, but for the order of the columns."""
    describe = {"sqlite": on_sqlite, "postgresql": on_postgresql, "mysql": on_mariadb}[connection.dialect.name]
    names = [name for name in inspect(connection).get_table_names() if name in TABLES]
    return {name: set(describe(connection, name)) for name in names}


def on_sqlite(connection: Connection, table: str) -> Iterator[Any]:
    def rows(pragma: str) -> Sequence[Any]:
        return connection.exec_driver_sql(f"PRAGMA {pragma}").fetchall()

    for _, name, type_, required, _, key in rows(f"table_info({table})"):
        yield name, {"bool": "BOOLEAN"}.get(type_, type_.upper()), required, key
    for _, name, unique, origin, partial in rows(f"index_list({table})"):
        columns = tuple(row[2] for row in rows(f"index_info({name})"))
        yield (name if origin == "c" else ""), unique, origin, partial, columns
    made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).scalar_one()
    yield "ids are never used again", "AUTOINCREMENT" in made
    yield from (word.strip('"') for word in made.split() if word.strip('"').endswith("_once"))
    yield from rows(f"foreign_key_list({table})")


def on_postgresql(connection: Connection, table: str) -> Iterator[Any]:
    for statement in (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attcollation,"
        " pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped",
        "SELECT pg_get_indexdef(indexrelid), indisunique FROM pg_index WHERE indrelid = {}::regclass",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {}::regclass",
    ):
        yield from map(tuple, connection.exec_driver_sql(statement.format(f"'{table}'")))


def on_mariadb(connection: Connection, table: str) -> Iterator[Any]:
    """Collations, keys, storage engine and character set among it."""
    [(_, made)] = connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").fetchall()
    return (line.strip(" ,") for line in made.splitlines())
