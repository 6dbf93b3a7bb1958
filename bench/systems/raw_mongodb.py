"""pymongo alone: a batch is found, marked where nobody else has done so, and deleted; each by one command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pymongo import MongoClient, WriteConcern
from systems.place import HOST
from systems.system import Body, Claiming

READY = {"taken": False}


class RawMongoDB(Claiming):
    """What is confirmed most members have."""

    def make(self) -> None:
        self.open()
        self.messages.create_index([("taken", 1), ("_id", 1)])
        self.close()

    def open(self) -> None:
        self.client: MongoClient[dict[str, Any]] = MongoClient(HOST, self.place.port, directConnection=True)
        database = self.client[self.place.name]
        self.messages = database.get_collection("messages", write_concern=WriteConcern("majority"))

    def close(self) -> None:
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.messages.insert_one({"body": json.dumps(body), **READY})

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self.messages.insert_many([{"body": json.dumps(body), **READY} for body in bodies])

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        found = list(self.messages.find(READY, sort=[("_id", 1)], limit=limit, batch_size=limit + 1))
        ids = [each["_id"] for each in found]
        if ids:
            marked = self.messages.update_many({"_id": {"$in": ids}, **READY}, {"$set": {"taken": True}})
            if marked.modified_count != len(ids):
                raise SystemExit("somebody else consumes here")
        return ids, [json.loads(each["body"]) for each in found]

    def delete(self, ids: list[Any]) -> None:
        self.messages.delete_many({"_id": {"$in": ids}})
