"""The drivers alone, with the same durability and batches: ``python -m bench.raw memory|sqlite COUNT``."""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from collections import deque
from pathlib import Path

from bench.load import message, rate, report

BATCH = 100
CLAIM = """UPDATE message SET taken = 1 WHERE id IN (SELECT id FROM message WHERE taken = 0 ORDER BY id LIMIT 100)
           RETURNING id, body"""


def memory(count: int) -> None:
    waiting: deque[str] = deque()
    bodies = [message(number) for number in range(count)]
    rates = {"publish": rate(count, lambda: [waiting.append(json.dumps(body)) for body in bodies])}
    seen: list[int] = []
    rates["drain"] = rate(count, lambda: [seen.append(json.loads(waiting.popleft())["i"]) for _ in range(count)])
    report(rates, seen, count)


def sqlite(count: int) -> None:
    database = sqlite3.connect(Path(tempfile.mkdtemp(prefix="kombu-bench-")) / "raw.sqlite3", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, taken INTEGER NOT NULL, body TEXT NOT NULL)")
    database.execute("CREATE INDEX ready ON message (taken, id)")
    bodies = [message(number) for number in range(count)]
    insert = "INSERT INTO message (taken, body) VALUES (0, ?)"

    def publish() -> None:
        for body in bodies:
            database.execute(insert, (json.dumps(body),))

    def publish_batches() -> None:
        for at in range(0, count, BATCH):
            database.execute("BEGIN IMMEDIATE")
            database.executemany(insert, [(json.dumps(body),) for body in bodies[at : at + BATCH]])
            database.execute("COMMIT")

    seen: list[int] = []

    def drain() -> None:
        while rows := sorted(database.execute(CLAIM).fetchall()):
            seen.extend(json.loads(body)["i"] for _, body in rows)
            places = ", ".join("?" * len(rows))
            database.execute(f"DELETE FROM message WHERE id IN ({places})", [id for id, _ in rows])

    rates = {"publish": rate(count, publish), "drain": rate(count, drain)}
    rates["publish in batches"] = rate(count, publish_batches)
    report(rates, seen, count)


if __name__ == "__main__":
    {"memory": memory, "sqlite": sqlite}[sys.argv[1]](int(sys.argv[2]))
