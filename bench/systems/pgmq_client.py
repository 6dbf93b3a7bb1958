"""pgmq with its own Python client, from the SQL that the client brings: https://pypi.org/project/pgmq/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from pgmq import PGMQueue
from pgmq.install import get_embedded_install_sql
from systems.place import HOST, USER
from systems.system import Body, Claiming

QUEUE = "bench"
LEASE = 60


class PgmqClient(Claiming):
    def make(self) -> None:
        where = {"host": HOST, "port": self.place.port, "user": USER, "dbname": self.place.name}
        with psycopg.connect(**where, autocommit=True) as connection:
            connection.execute(get_embedded_install_sql())
        self.open()
        self.client.create_queue(QUEUE)
        self.close()

    def open(self) -> None:
        self.client = PGMQueue(
            host=HOST, port=str(self.place.port), username=USER, password="", database=self.place.name,
            init_extension=False,
        )  # fmt: skip

    def close(self) -> None:
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.client.send(QUEUE, body)

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.client.send_batch(QUEUE, list(bodies))

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        read = self.client.read_with_poll(QUEUE, vt=LEASE, qty=limit, max_poll_seconds=1)
        return [each.msg_id for each in read], [each.message for each in read]

    def delete(self, ids: list[Any]) -> None:
        self.client.delete_batch(QUEUE, ids)
