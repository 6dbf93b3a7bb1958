"""Which state the tables are in: as they are, and as those say who brought them there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import Column, ColumnElement, Connection, Index, column, func, inspect, select, table

from kombu.sql.dialect import PREFIX
from kombu_sqlalchemy.migrations.adopting import IndexColumns, Part, split
from kombu_sqlalchemy.schema import make_metadata

VERSIONS = "alembic"
"""The table of Alembic's version, behind the prefix."""
APPLICATIONS = "alembic_version"
"""That of an application's own."""


@dataclass(frozen=True, slots=True)
class State:
    """``revision`` is the last one whose tables, columns and indexes are all there, with those of the ones before it;
    ``missing`` is what the others would add. ``alembic`` and ``django`` are what they have noted, ``application`` is
    what an application's own Alembic has, for these tables or for some of another prefix."""

    revision: str | None
    newest: str
    missing: tuple[str, ...]
    is_empty: bool
    alembic: str | None = None
    django: str | None = None
    application: str | None = None

    @property
    def is_current(self) -> bool:
        """Whether this release can work with them."""
        return not self.missing


@dataclass(slots=True)
class Recorder:
    """Notes what a revision adds to the things that were there before."""

    prefix: str
    things: list[str] = field(default_factory=list)

    def create(self, name: str, *parts: Part) -> None:
        self.things.append(self.prefix + name)
        for part in parts:
            if isinstance(part, Column):
                self.add(name, part)
            elif isinstance(part, Index):
                self.things.append(f"{self.prefix}{name} index {self.prefix}{part.name}")

    def add(self, name: str, column: Column[Any]) -> None:
        self.things.append(f"{self.prefix}{name}.{column.name}")

    def replace(self, name: str, old: str, new: str, columns: IndexColumns, where: str | None = None) -> None:
        before, after = (f"{self.prefix}{name} index {self.prefix}{each}" for each in (old, new))
        self.things[self.things.index(before)] = after


def look(connection: Connection, script: ScriptDirectory, prefix: str = PREFIX) -> State:
    """Changes nothing, and works on a database that can only be read."""
    schema, beginning = split(prefix)
    there = set(_things(connection, prefix))
    return State(
        *reached(script, beginning, there),
        is_empty=not there,
        alembic=_noted(connection, beginning + VERSIONS, schema),
        django=_noted_by_others(connection, "django_migrations", "name", _BY_DJANGO) if prefix == PREFIX else None,
        application=_noted_by_others(connection, APPLICATIONS, "version_num", _BY_APPLICATION),
    )


def nothing(script: ScriptDirectory, prefix: str = PREFIX) -> State:
    """Of a database that is not there yet."""
    return State(*reached(script, split(prefix)[1], set()), is_empty=True)


def reached(script: ScriptDirectory, prefix: str, there: set[str]) -> tuple[str | None, str, tuple[str, ...]]:
    """The revision, the newest one, and what is missing."""
    revision, missing = None, list[str]()
    for step, things in made(script, prefix):
        missing = [thing for thing in things if thing not in there]
        if not missing:
            revision = step
    return revision, str(script.get_current_head()), tuple(_shortened(missing))


def made(script: ScriptDirectory, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """For each revision the tables, with their columns and indexes, that there are with it, the oldest first."""
    recorder = Recorder(prefix)
    for step in [*script.walk_revisions()][::-1]:
        step.module.upgrade(recorder)
        yield step.revision, recorder.things


def _shortened(missing: Sequence[str]) -> Iterator[str]:
    """Of a table that is not there, the columns and indexes go without saying."""
    tables = {thing for thing in missing if thing.isidentifier()}
    return (thing for thing in missing if thing in tables or re.split(r"\W", thing)[0] not in tables)


def _things(connection: Connection, prefix: str) -> Iterator[str]:
    looked = inspect(connection)
    metadata = make_metadata(prefix)
    names = [each.name for each in metadata.tables.values()]
    yield from set(names).intersection(looked.get_table_names(schema=metadata.schema))
    columns = looked.get_multi_columns(schema=metadata.schema, filter_names=names)
    for (_, name), found in columns.items():
        yield from (f"{name}.{each['name']}" for each in found)
    for (_, name), indexes in looked.get_multi_indexes(schema=metadata.schema, filter_names=names).items():
        yield from (f"{name} index {index['name']}" for index in indexes)


def _noted(connection: Connection, name: str, schema: str | None) -> str | None:
    if not inspect(connection).has_table(name, schema):
        return None
    found: str | None = connection.scalar(select(column("version_num")).select_from(table(name, schema=schema)))
    return found


_BY_DJANGO = column("app") == "kombu_django"
_BY_APPLICATION = column("version_num").startswith("kombu_", autoescape=True)


def _noted_by_others(connection: Connection, name: str, version: str, ours: ColumnElement[bool]) -> str | None:
    """Nothing, too, where this user may not read it."""
    if not _may_read(connection, name):
        return None
    found: str | None = connection.scalar(select(func.max(column(version))).select_from(table(name)).where(ours))
    return found


def _may_read(connection: Connection, name: str) -> bool:
    """A table that is there. PostgreSQL would end the caller's transaction with a refusal; MariaDB does not show what
    is not for this user."""
    if connection.dialect.name != "postgresql":
        return name in inspect(connection).get_table_names()
    may_read = select(func.has_table_privilege(name, "SELECT"))
    return inspect(connection).has_table(name) and bool(connection.scalar(may_read))
