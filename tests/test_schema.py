"""Both doors make the same tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect

from kombu_sqlalchemy import metadata
from tests.settings import DATA

TABLES = sorted(metadata.tables)


@pytest.fixture
def by_sqlalchemy(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'by-sqlalchemy.sqlite3'}")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def by_django(migrated: None) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{DATA / 'default.sqlite3'}")
    yield engine
    engine.dispose()


def test_both_have_the_same_tables(by_django: Engine, by_sqlalchemy: Engine) -> None:
    django_tables = [name for name in inspect(by_django).get_table_names() if name.startswith("kombu_")]
    assert sorted(django_tables) == TABLES == sorted(inspect(by_sqlalchemy).get_table_names())


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_same_columns_indexes_and_constraints(
    table: str, by_django: Engine, by_sqlalchemy: Engine
) -> None:
    assert described(by_django, table) == described(by_sqlalchemy, table)


def described(engine: Engine, table: str) -> dict[str, Any]:
    found = inspect(engine)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"PRAGMA index_list({table})").fetchall()
        columns = {row[1]: connection.exec_driver_sql(f"PRAGMA index_info({row[1]})").fetchall() for row in rows}
        autoincrement = connection.exec_driver_sql(
            "SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = ?", (table,)
        ).scalar()
    return {
        "columns": {each["name"]: (spelled(str(each["type"])), each["nullable"]) for each in found.get_columns(table)},
        "primary key": found.get_pk_constraint(table)["constrained_columns"],
        "ids are never used again": autoincrement,
        "indexes": sorted((row[1], names(columns[row[1]])) for row in rows if not row[2]),
        "unique": sorted(names(columns[row[1]]) for row in rows if row[2]),
        "foreign keys": found.get_foreign_keys(table),
    }


def names(columns: Sequence[Any]) -> tuple[str, ...]:
    return tuple(column[2] for column in columns)


def spelled(name: str) -> str:
    """SQLite's types are names only, and some have two."""
    return {"BOOL": "BOOLEAN"}.get(name, name)
