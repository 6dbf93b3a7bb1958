"""The standard library's sqlite3 alone, in WAL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from systems.system import Body, Claiming

INSERT = "INSERT INTO message (body) VALUES (?)"
CLAIM = """UPDATE message SET taken = 1 WHERE id IN (SELECT id FROM message WHERE taken = 0 ORDER BY id LIMIT ?)
           RETURNING id, body"""


class RawSQLite(Claiming):
    def make(self) -> None:
        self.open()
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute(
            "CREATE TABLE message (id integer PRIMARY KEY, body text NOT NULL, taken integer NOT NULL DEFAULT 0)"
        )
        self.connection.execute("CREATE INDEX message_ready ON message (id) WHERE taken = 0")
        self.close()

    def open(self) -> None:
        self.connection = sqlite3.connect(self.place.name, timeout=20, isolation_level=None)
        self.connection.execute(f"PRAGMA synchronous={self.place.synchronous}")

    def close(self) -> None:
        self.connection.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.connection.execute(INSERT, (json.dumps(body),))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.executemany(INSERT, [(json.dumps(body),) for body in bodies])
        self.connection.execute("COMMIT")

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        rows = sorted(self.connection.execute(CLAIM, (limit,)).fetchall())
        return [id for id, _ in rows], [json.loads(body) for _, body in rows]

    def delete(self, ids: list[Any]) -> None:
        places = ", ".join("?" * len(ids))
        self.connection.execute(f"DELETE FROM message WHERE id IN ({places})", ids)
