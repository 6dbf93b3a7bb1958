"""Who is compared with whom: groups of systems that ask a database for the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from bench.parts import databases
from bench.parts.options import Options
from bench.systems.place import Place

OURS = ("sqla", "django")


@dataclass(frozen=True, slots=True)
class Group:
    """``place`` is that of each system, but for the name of its database."""

    name: str
    place: Place
    systems: tuple[str, ...]


POSTGRESQL = Group("PostgreSQL", Place(kind="postgresql", name=""), ("raw", "sqla", "django", "pgmq", "5.7"))
SQLITE_FULL = Group("SQLite, FULL", Place(kind="sqlite", name=""), ("raw", "sqla", "django", "5.7"))
SQLITE_NORMAL = Group("SQLite, NORMAL", Place(kind="sqlite", name="", synchronous="NORMAL"), ("raw", "sqla", "django"))
MARIADB_PYMYSQL = Group("MariaDB, PyMySQL", Place(kind="mariadb", name="", driver="pymysql"), ("raw", "sqla", "5.7"))
MARIADB_MYSQLCLIENT = Group(
    "MariaDB, mysqlclient", Place(kind="mariadb", name="", driver="mysqldb"), ("raw", "sqla", "django")
)
ALL = (POSTGRESQL, SQLITE_FULL, SQLITE_NORMAL, MARIADB_PYMYSQL, MARIADB_MYSQLCLIENT)


def groups(options: Options, *among: Group) -> Iterator[Group]:
    """Those that can be measured."""
    for group in among or ALL:
        if group.place.kind in options.databases and unmeasured(group) is None:
            yield group


def unmeasured(group: Group) -> str | None:
    """Why a group cannot be measured, None if it can."""
    if group is MARIADB_MYSQLCLIENT and find_spec("MySQLdb") is None:
        return "mysqlclient is not installed: libmariadb-dev and pkg-config are needed to build it"
    return databases.missing(group.place.kind)
