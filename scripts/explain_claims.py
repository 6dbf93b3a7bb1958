"""Asks each database how it carries out a claim, and writes the answers to docs/sql/plans/, which the pages show.

Run it by hand, with the servers of ``scripts/services.sh`` (their ports by KOMBU_PG_PORT and KOMBU_MARIADB_PORT)::

    python scripts/explain_claims.py [sqlite] [postgresql] [mariadb]

It makes a database ``kombu_explain``, with the messages of one queue in it, and drops it in the end. Everything that is
claimed is given back, by a rollback.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url

from kombu.sql import MARIADB, POSTGRESQL, SQLITE, Dialect, messages_sql
from kombu.sql.rows import micro, wanting
from kombu_sqlalchemy import metadata
from kombu_sqlalchemy.engines import make_engine

PLANS = Path(__file__).parent.parent / "docs" / "sql" / "plans"
DATABASE = "kombu_explain"
FEW, MANY = (1_000, 0, 0), (100_000, 10_000, 1_000)
"""Messages that wait, that are delayed, that are leased."""

CLAIMED, ROUNDS = 100, 30
BODY = b'{"text": "' + b"x" * 244 + b'"}'
HEAD = '{"exchange": "", "routing_key": "jobs", "properties": {"delivery_mode": 2, "content_type": "application/json"}}'


def main(names: Sequence[str]) -> None:
    PLANS.mkdir(exist_ok=True)
    for name in names or KINDS:
        kind = KINDS[name]
        with kind.made() as engine:
            metadata.create_all(engine)
            few = measured(engine, kind, FEW)
            many = measured(engine, kind, MANY)
            text = "\n".join(kind.explained(engine))
        times = [f"{CLAIMED} claimed of {sum(counts):,}: {seconds * 1e3:.1f} ms" for counts, seconds in (few, many)]
        (PLANS / f"{name}.txt").write_text(f"{text}\n")
        (PLANS / f"{name}_times.txt").write_text("\n".join([kind.version(engine), *times]) + "\n")


@dataclass(frozen=True, slots=True)
class Kind:
    """``claim`` carries it out, ``explained`` has the lines that say how; ``numbers`` selects the numbers 1 to n."""

    dialect: Dialect
    made: Callable[[], AbstractContextManager[Engine]]
    claim: Callable[[Connection], int]
    explained: Callable[[Engine], list[str]]
    version: Callable[[Engine], str]
    numbers: str


Counted = tuple[tuple[int, int, int], float]


def measured(engine: Engine, kind: Kind, counts: tuple[int, int, int]) -> Counted:
    """The shortest of several claims, each rolled back, in a table with so many messages."""
    fill(engine, kind, *counts)
    shortest = float("inf")
    for _ in range(ROUNDS):
        with rolled_back(engine) as connection:
            begin = time.perf_counter()
            claimed = kind.claim(connection)
            shortest = min(shortest, time.perf_counter() - begin)
        assert claimed == CLAIMED, claimed
    return counts, shortest


def fill(engine: Engine, kind: Kind, waiting: int, delayed: int, leased: int) -> None:
    now, empty = kind.dialect.now, {"head": HEAD, "body": BODY}
    message, queue = metadata.tables["kombu_message"], metadata.tables["kombu_queue"]
    with engine.begin() as connection:
        connection.execute(message.delete())
        connection.execute(queue.delete())
        flags = {"durable": True, "exclusive": False, "auto_delete": False, "refuses": False, "paused": False}
        connection.execute(queue.insert().values(name="jobs", arguments="{}", **flags))
        for number, available, token in (
            (waiting, f"{now} - 1000000000 + n", "NULL"),
            (delayed, f"{now} + 3600000000 + n", "NULL"),
            (leased, f"{now} + 60000000 + n", "n"),
        ):
            numbers = kind.numbers.format(number)
            columns = "queue_id, priority, available_at, due_at, stored_at, delivery_count, lease_token, head, body"
            values = f"q.id, 0, {available}, {available}, {now}, 0, {token}, %s, %s"
            statement = f"INSERT INTO kombu_message ({columns}) SELECT {values} FROM kombu_queue q, ({numbers}) AS s"
            connection.exec_driver_sql(placed(engine, statement), tuple(empty.values()))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(ANALYZE[kind.dialect.name])


ANALYZE = {"SQLite": "ANALYZE", "PostgreSQL": "VACUUM ANALYZE", "MariaDB": "ANALYZE TABLE kombu_message, kombu_queue"}


def placed(engine: Engine, statement: str) -> str:
    return statement.replace("%s", "?") if engine.dialect.paramstyle == "qmark" else statement


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection
        connection.rollback()


def claim_by_update(dialect: Dialect) -> Callable[[Connection], int]:
    def claim(connection: Connection) -> int:
        statement, parameters = update(dialect)
        return len(connection.exec_driver_sql(placed(connection.engine, statement), parameters).fetchall())

    return claim


def update(dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    return messages_sql.claim(dialect, (0,)), (micro(60), 1, *wanting("jobs", 0, CLAIMED))


def claim_by_locking(connection: Connection) -> int:
    ids = [row[0] for row in connection.exec_driver_sql(*locking()).fetchall()]
    return connection.exec_driver_sql(messages_sql.take(MARIADB, len(ids)), (micro(60), 1, *ids)).rowcount


def locking() -> tuple[str, tuple[Any, ...]]:
    return messages_sql.lock_due(MARIADB), tuple(wanting("jobs", 0, CLAIMED)[:-1])


def explained_by_sqlite(engine: Engine) -> list[str]:
    statement, parameters = update(SQLITE)
    with rolled_back(engine) as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {placed(engine, statement)}", parameters).fetchall()
    depth = {0: -1}
    lines = []
    for id, parent, _, detail in rows:
        depth[id] = depth[parent] + 1
        lines.append("   " * depth[id] + detail)
    return lines


def explained_by_postgresql(engine: Engine) -> list[str]:
    statement, parameters = update(POSTGRESQL)
    explain = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF)"
    with rolled_back(engine) as connection:
        lines = [row[0] for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]
    plan = lines[: next((at for at, line in enumerate(lines) if line.startswith("Planning")), None)]
    return [told(line) for line in plan]


def told(line: str) -> str:
    """Without what stands for the clock, without saying that a node ran once, and pages counted wherever they were."""
    clock = r"\(+date_part\('epoch'::text, statement_timestamp\(\)\) \* '1000000'::double precision\)+::bigint"
    line = re.sub(clock, "now", line)
    line = line.replace(" loops=1)", ")").replace("kombu_message kombu_message_1", "kombu_message")
    before, buffers, counts = line.partition("Buffers: ")
    if not buffers:
        return line
    return f"{before}pages: {sum(map(int, re.findall(r'(?:hit|read)=([0-9]+)', counts)))}"


def explained_by_mariadb(engine: Engine) -> list[str]:
    with rolled_back(engine) as connection:
        ids = [row[0] for row in connection.exec_driver_sql(*locking())]
    statement, parameters = locking()
    taking = messages_sql.take(MARIADB, len(ids))
    return [
        "ANALYZE SELECT … FOR UPDATE SKIP LOCKED",
        *analyzed(engine, statement, parameters),
        "",
        "ANALYZE UPDATE … WHERE id IN (…)",
        *analyzed(engine, taking, (micro(60), 1, *ids)),
    ]


def analyzed(engine: Engine, statement: str, parameters: tuple[Any, ...]) -> list[str]:
    """A line for each table: how it is read, by which index, how many rows were expected and how many there were."""
    with rolled_back(engine) as connection:
        rows = connection.exec_driver_sql(f"ANALYZE {statement}", parameters).mappings().all()
    columns = ("select_type", "table", "type", "key", "rows", "r_rows", "Extra")
    table = [columns, *(tuple(str(row[column] or "") for column in columns) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip() for row in table]


@contextmanager
def in_a_file() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(f"sqlite:///{folder}/explain.sqlite3", 5.0, {})
        yield engine
        engine.dispose()


def on_server(url: str) -> Callable[[], AbstractContextManager[Engine]]:
    @contextmanager
    def made() -> Iterator[Engine]:
        server = create_engine(url, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {DATABASE}")
            connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
        engine = make_engine(make_url(url).set(database=DATABASE).render_as_string(hide_password=False), 5.0, {})
        yield engine
        engine.dispose()
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {DATABASE}")
        server.dispose()

    return made


def server_version(engine: Engine) -> str:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(engine.dialect.name, "MariaDB")
    return f"{name} {'.'.join(map(str, getattr(engine.dialect, 'server_version_info', ()) or ()))}".strip()


KINDS = {
    "sqlite": Kind(
        SQLITE,
        in_a_file,
        claim_by_update(SQLITE),
        explained_by_sqlite,
        lambda _: f"SQLite {sqlite3.sqlite_version}",
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {0}) SELECT n FROM s WHERE n <= {0}",
    ),
    "postgresql": Kind(
        POSTGRESQL,
        on_server(f"postgresql+psycopg://kombu@127.0.0.1:{os.environ.get('KOMBU_PG_PORT', '54329')}/kombu"),
        claim_by_update(POSTGRESQL),
        explained_by_postgresql,
        server_version,
        "SELECT n FROM generate_series(1, {}) AS n",
    ),
    "mariadb": Kind(
        MARIADB,
        on_server(f"mysql+pymysql://kombu@127.0.0.1:{os.environ.get('KOMBU_MARIADB_PORT', '53306')}/kombu"),
        claim_by_locking,
        explained_by_mariadb,
        server_version,
        "SELECT seq AS n FROM seq_1_to_1000000 WHERE seq <= {}",
    ),
}

if __name__ == "__main__":
    main(sys.argv[1:])
