"""``python -m kombu_sqlalchemy``: brings the tables to the newest state, and shows which they are in."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from kombu.exceptions import InvalidURL, KombuError, MissingDriver
from kombu.sql import Dialect
from kombu.sql.dialect import PREFIX, SQLITE
from kombu.utils.url import sanitize_url
from kombu_sqlalchemy.database import EngineDatabase, shown
from kombu_sqlalchemy.engines import make_engine

if TYPE_CHECKING:
    from kombu_sqlalchemy.state import State

T = TypeVar("T")

_ABOUT = """\
upgrade  makes the tables or brings them to the newest state; what is there is adopted, whoever made it, Django's
         migrations too. Any number of processes may do this at the same time.
current  says which state the tables are in. Exit status 1: they lack something, run upgrade.
sql      prints the statements for a database of this kind instead, without connecting to one.

Exit status 2: it did not work, and standard error says why.

examples:
  python -m kombu_sqlalchemy upgrade sqlite:///queues.sqlite3
  python -m kombu_sqlalchemy current postgresql://shop@db.example.org/shop
  python -m kombu_sqlalchemy sql mariadb:// --since kombu_0002 > kombu.sql
"""
_PATIENCE = 10.0
"""Seconds for connecting."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    given = _parser().parse_args(arguments)
    try:
        _check_alembic()
        given.prefix = SQLITE.prefixed(given.prefix).prefix
        return int(given.run(given))
    except KombuError as exc:
        print(f"kombu_sqlalchemy: {exc}", file=sys.stderr)  # noqa: T201
        return 2


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m kombu_sqlalchemy",
        description="The tables of Kombu's queues in a database.",
        epilog=_ABOUT,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="upgrade|current|sql")
    for run, about in (
        (_upgrade, "make the tables, or bring them to the newest state"),
        (_current, "say which state they are in"),
        (_sql, "print the statements"),
    ):
        command = commands.add_parser(run.__name__[1:], help=about, description=f"{about.capitalize()}.")
        command.set_defaults(run=run)
        command.add_argument("url", metavar="URL", help="SQLAlchemy's, or the same behind sqla+")
        command.add_argument(
            "--prefix", default=PREFIX, help="of the tables' names, behind a schema and a dot perhaps (%(default)s)"
        )
        if run is _sql:
            command.add_argument(
                "--since", metavar="REVISION", help="which the tables are at, as current says; no tables if not given"
            )
    return parser


def _check_alembic() -> None:
    try:
        import alembic  # noqa: F401
    except ModuleNotFoundError as exc:
        raise MissingDriver(f"migrations need Alembic, which is not installed: pip install alembic ({exc})") from exc


def _upgrade(given: Namespace) -> int:
    from kombu_sqlalchemy.migrating import scripts, upgrade
    from kombu_sqlalchemy.state import look

    def change(connection: Connection, _: Dialect) -> tuple[State, State]:
        return upgrade(connection, given.prefix), look(connection, scripts(), given.prefix)

    engine = make_engine(_plain(given.url), _PATIENCE, {})
    before, after = _on(engine, given.prefix, change)
    _say(f"{shown(engine)}, tables {given.prefix}*")
    _say(f"  {_changed(before, after)}")
    return 0


def _current(given: Namespace) -> int:
    from kombu_sqlalchemy.migrating import scripts
    from kombu_sqlalchemy.state import look, nothing

    engine = make_engine(_plain(given.url), _PATIENCE, {})
    if _is_missing_file(engine):
        state = nothing(scripts(), given.prefix)
    else:
        only_look = create_engine(_for_looking(engine.url), poolclass=NullPool)  # gives a SQLite file no WAL
        state = _on(only_look, given.prefix, lambda connection, _: look(connection, scripts(), given.prefix))
    _say(f"{shown(engine)}, tables {given.prefix}*")
    for line in _described(state, given.prefix):
        _say(f"  {line}")
    return 0 if state.is_current else 1


def _sql(given: Namespace) -> int:
    from alembic.util import CommandError

    from kombu_sqlalchemy.migrating import statements

    url = _plain(given.url)
    try:
        server = make_url(url).get_dialect()()
        written = statements(server, given.prefix, given.since)
    except (ArgumentError, NoSuchModuleError, ValueError) as exc:
        raise InvalidURL(f"{sanitize_url(url)}: not a URL of SQLAlchemy's; postgresql:// is enough here") from exc
    except CommandError as exc:
        raise KombuError(f"--since {given.since}: {exc}") from exc
    if server.name == "mysql":
        _say("-- For MySQL. MariaDB's collations have other names: its URL here is mariadb://\n")
    _say(written.strip())
    return 0


def _plain(url: str) -> str:
    """SQLAlchemy's own."""
    if url.startswith("django:"):
        raise InvalidURL(f"{url}: manage.py migrate makes these tables, or name the database by a URL of SQLAlchemy's")
    return url.removeprefix("sqla+").removeprefix("sqlalchemy+")


def _on(engine: Engine, prefix: str, ask: Callable[[Connection, Dialect], T]) -> T:
    """What it answers on a connection in autocommit; what goes wrong is explained."""
    answers: list[T] = []
    database = EngineDatabase(engine, prefix, lambda connection, dialect: answers.append(ask(connection, dialect)))
    try:
        database.open()
    finally:
        database.close()
        engine.dispose()
    return answers[0]


def _for_looking(url: URL) -> URL:
    """SQLite makes files beside one that has a WAL, be it only to read it. Where it may not, and nobody has left any,
    it is told to do without: https://www.sqlite.org/wal.html#readonly."""
    if url.get_backend_name() != "sqlite" or "uri" in url.query:
        return url
    file = Path(url.database or "").absolute()
    if os.access(file.parent, os.W_OK) or any(Path(f"{file}{end}").exists() for end in ("-wal", "-journal")):
        return url
    return url.set(database=f"file:{quote(str(file))}", query={"immutable": "1", "uri": "true"})


def _is_missing_file(engine: Engine) -> bool:
    """SQLite would make it, be it only to look."""
    url = engine.url
    return url.get_backend_name() == "sqlite" and "uri" not in url.query and not Path(url.database or "").exists()


def _changed(before: State, after: State) -> str:
    if before.revision == after.revision:
        return f"{after.revision} as before" + ("" if before.alembic else ", adopted")
    return f"{before.revision or ('no tables' if before.is_empty else 'some tables')} -> {after.revision}"


def _described(state: State, prefix: str) -> Iterator[str]:
    yield f"tables:   {_as_they_are(state)}"
    yield f"Alembic:  {'; '.join(_by_alembic(state, prefix))}"
    if prefix == PREFIX:
        yield f"Django:   {_noted(state, state.django, 'django_migrations')}"
    if state.revision and not (state.alembic or state.application or state.django):
        yield "No migration is noted: made on first use, perhaps. upgrade would adopt them."


def _by_alembic(state: State, prefix: str) -> Iterator[str]:
    if state.alembic or not state.application:
        yield _noted(state, state.alembic, f"{prefix}alembic")
    if state.application:
        yield _noted(state, state.application, "alembic_version")


def _noted(state: State, revision: str | None, where: str) -> str:
    """Somebody may have taken back what is noted; and Django's have the same numbers."""
    number, there = ((each or "").removeprefix("kombu_")[:4] for each in (revision, state.revision))
    gone = ", which is not what is there" if number > there and not state.is_current else ""
    return f"{revision or 'nothing'} noted in {where}{gone}"


def _as_they_are(state: State) -> str:
    if state.is_current:
        return f"{state.revision}, the newest"
    advice = f"run upgrade, {state.newest} is the newest"
    if state.is_empty:
        return f"none; {advice}"
    return f"{state.revision or 'some'}; {advice}. Missing: {', '.join(state.missing)}"


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
