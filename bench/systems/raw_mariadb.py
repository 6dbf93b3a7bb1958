"""PyMySQL or mysqlclient alone: a batch is locked by a SELECT and marked by an UPDATE, and then deleted by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from systems.place import HOST, USER
from systems.system import Body, Claiming

INSERT = "INSERT INTO message (body) VALUES (%s)"
LOCK = "SELECT id, body FROM message WHERE taken = 0 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"


class RawMariaDB(Claiming):
    def make(self) -> None:
        self.open()
        self.cursor.execute(
            "CREATE TABLE message (id bigint AUTO_INCREMENT PRIMARY KEY, body text NOT NULL,"
            " taken tinyint NOT NULL DEFAULT 0, KEY message_ready (taken, id))"
        )
        self.close()

    def open(self) -> None:
        driver = import_module({"pymysql": "pymysql", "mysqldb": "MySQLdb"}[self.place.driver])
        self.connection = driver.connect(host=HOST, port=self.place.port, user=USER, database=self.place.name)
        self.connection.autocommit(True)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def close(self) -> None:
        self.connection.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.cursor.execute(INSERT, (json.dumps(body),))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.cursor.executemany(INSERT, [(json.dumps(body),) for body in bodies])  # one INSERT of many rows

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        self.cursor.execute("BEGIN")
        self.cursor.execute(LOCK, (limit,))
        rows = self.cursor.fetchall()
        ids = [id for id, _ in rows]
        if ids:
            self.cursor.execute("UPDATE message SET taken = 1 WHERE id IN %s", (ids,))
        self.cursor.execute("COMMIT")
        return ids, [json.loads(body) for _, body in rows]

    def delete(self, ids: list[Any]) -> None:
        self.cursor.execute("DELETE FROM message WHERE id IN %s", (ids,))
