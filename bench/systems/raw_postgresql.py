"""psycopg 3 alone: an INSERT for each message, a batch claimed by one statement and deleted by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from systems.place import HOST, USER
from systems.system import Body, Claiming

INSERT = "INSERT INTO message (body) VALUES (%s)"
CLAIM = """UPDATE message SET taken = true
           WHERE id = ANY(ARRAY(SELECT id FROM message WHERE NOT taken ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
           RETURNING id, body"""


class RawPostgreSQL(Claiming):
    def make(self) -> None:
        self.open()
        self.connection.execute(
            "CREATE TABLE message (id bigserial PRIMARY KEY, body text NOT NULL, taken boolean NOT NULL DEFAULT false)"
        )
        self.connection.execute("CREATE INDEX message_ready ON message (id) WHERE NOT taken")
        self.close()

    def open(self) -> None:
        self.connection = psycopg.connect(
            host=HOST, port=self.place.port, user=USER, dbname=self.place.name, autocommit=True
        )

    def close(self) -> None:
        self.connection.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.connection.execute(INSERT, (json.dumps(body),))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(INSERT, [(json.dumps(body),) for body in bodies])

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        rows = sorted(self.connection.execute(CLAIM, (limit,)).fetchall())
        return [id for id, _ in rows], [json.loads(body) for _, body in rows]

    def delete(self, ids: list[Any]) -> None:
        self.connection.execute("DELETE FROM message WHERE id = ANY(%s)", (ids,))
