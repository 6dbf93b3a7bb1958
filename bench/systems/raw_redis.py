"""redis-py alone: LPUSH, and what is taken stands in a second list until it is removed from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis
from systems.place import HOST
from systems.system import Body, Claiming

QUEUE, TAKEN = "bench", "bench:taken"


class RawRedis(Claiming):
    """By pipelines of as many as are asked for."""

    def make(self) -> None:
        """Lists are there when something is in them."""

    def open(self) -> None:
        self.client = redis.Redis(host=HOST, port=self.place.port, db=int(self.place.name))

    def close(self) -> None:
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.client.lpush(QUEUE, json.dumps(body))

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        with self.client.pipeline(transaction=False) as pipeline:
            for body in bodies:
                pipeline.lpush(QUEUE, json.dumps(body))
            pipeline.execute()

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        with self.client.pipeline(transaction=False) as pipeline:
            for _ in range(limit):
                pipeline.lmove(QUEUE, TAKEN, "RIGHT", "LEFT")
            taken = [each for each in pipeline.execute() if each is not None]
        return taken, [json.loads(each) for each in taken]

    def delete(self, ids: list[Any]) -> None:
        with self.client.pipeline(transaction=False) as pipeline:
            for each in ids:
                pipeline.lrem(TAKEN, -1, each)
            pipeline.execute()


class RawRedisSingly(RawRedis):
    """One after the other, waiting for the next."""

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        taken = self.client.blmove(QUEUE, TAKEN, 1, "RIGHT", "LEFT")
        return ([], []) if taken is None else ([taken], [json.loads(taken)])

    def delete(self, ids: list[Any]) -> None:
        self.client.lrem(TAKEN, -1, ids[0])
