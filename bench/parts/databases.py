"""The databases that the systems are given, one each, and what their servers say about them."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.systems.place import HOST, USER, Place

PORTS = {
    "postgresql": int(os.environ.get("KOMBU_PG_PORT", "54329")),
    "mariadb": int(os.environ.get("KOMBU_MARIADB_PORT", "53306")),
}
START = "Start them with KOMBU_DURABLE=1 sh scripts/services.sh start postgresql mariadb"


@contextmanager
def made(place: Place, system: str) -> Iterator[Place]:
    """An empty database for a system, gone afterwards."""
    if place.kind == "sqlite":
        folder = tempfile.mkdtemp(prefix="kombu-bench-")
        try:
            yield replace(place, name=str(Path(folder) / "bench.sqlite3"))
        finally:
            shutil.rmtree(folder)
        return
    name = f"kombu_bench_{os.getpid()}_{system.replace('.', '')}"
    with _server(place.kind) as run:
        drop = f"DROP DATABASE IF EXISTS {name}"
        run(drop)
        run(f"CREATE DATABASE {name}")
        try:
            yield replace(place, name=name, port=PORTS[place.kind])
        finally:
            run(drop)


@cache
def missing(kind: str) -> str | None:
    """Why nothing can be measured on a kind of database, None if it can: it has to write through to the disk."""
    if kind == "sqlite":
        return None
    where = f"{kind} on {HOST}:{PORTS[kind]}"
    try:
        socket.create_connection((HOST, PORTS[kind]), timeout=2).close()
    except OSError as exc:
        return f"{where}: {exc.strerror or exc}. {START}"
    with _server(kind) as run:
        durable = _durable(kind, run)
    return None if durable else f"{where} does not write through to the disk. {START}"


def version(kind: str) -> str:
    """The server's; it writes through to the disk."""
    if kind == "sqlite":
        return "files in WAL"
    with _server(kind) as run:
        return f"{run('SELECT version()')[0][0].partition(',')[0].partition(' on ')[0]}, durable"


def statistics(place: Place) -> dict[str, int]:
    """Of a PostgreSQL database: transactions committed, deadlocks, rows that are dead, bytes on the disk."""
    with _postgresql(place.name) as run:
        run("SELECT pg_stat_clear_snapshot()")
        [(commits, deadlocks)] = run(
            f"SELECT xact_commit, deadlocks FROM pg_stat_database WHERE datname = '{place.name}'"
        )
        [(dead,)] = run("SELECT COALESCE(SUM(n_dead_tup), 0)::bigint FROM pg_stat_user_tables")
        [(size,)] = run("SELECT pg_database_size(current_database())")
    return {"commits": commits, "deadlocks": deadlocks, "dead": dead, "size": size}


def files(place: Place) -> str:
    """Of SQLite: how large the database and its log are."""
    sizes = {what: Path(place.name + end).stat().st_size / (1 << 20) for what, end in (("file", ""), ("log", "-wal"))}
    return ", ".join(f"{what} {size:,.1f} MiB" for what, size in sizes.items())


def asked(place: Place) -> int | None:
    """Statements so far: transactions of this database in PostgreSQL, questions to the whole server in MariaDB."""
    match place.kind:
        case "postgresql":
            with _postgresql() as run:
                rows = run(f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{place.name}'")
            return int(rows[0][0])
        case "mariadb":
            with _mariadb() as run:
                return int(run("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])
        case _:
            return None


def execute(place: Place, statement: str) -> None:
    """In the system's database."""
    if place.kind == "postgresql":
        with _postgresql(place.name) as run:
            run(statement)
        return
    import sqlite3

    with sqlite3.connect(place.name, timeout=20) as connection:
        connection.execute(statement)
    connection.close()


def _durable(kind: str, run: Any) -> bool:
    if kind == "postgresql":
        return all(run(f"SHOW {setting}") == [("on",)] for setting in ("fsync", "synchronous_commit"))
    return bool(run("SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite")[0] == (1, 1))


def _server(kind: str) -> Any:
    return {"postgresql": _postgresql, "mariadb": _mariadb}[kind]()


@contextmanager
def _postgresql(name: str = "kombu") -> Iterator[Any]:
    import psycopg

    with psycopg.connect(
        host=HOST, port=PORTS["postgresql"], user=USER, dbname=name, autocommit=True, connect_timeout=2
    ) as connection:

        def run(statement: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield run


@contextmanager
def _mariadb() -> Iterator[Any]:
    import pymysql

    connection = pymysql.connect(host=HOST, port=PORTS["mariadb"], user=USER, database="kombu", autocommit=True)

    def run(statement: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    with connection:
        yield run
