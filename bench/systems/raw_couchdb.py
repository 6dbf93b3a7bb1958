"""httpx alone: a batch is looked at, marked by its revisions, and deleted; each by one request."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import httpx
from systems.place import HOST
from systems.system import Body, Claiming

TIMEOUT = 60


class RawCouchDB(Claiming):
    """Documents are in the order of their ids, which say when each was made."""

    def make(self) -> None:
        self._connect()
        self.client.put("").raise_for_status()
        self.close()

    def open(self) -> None:
        self._connect()
        started = time.time_ns()
        self._ids = (f"{started:020}-{number:09}" for number in count())

    def close(self) -> None:
        self.client.close()

    def publish(self, bodies: Sequence[Body]) -> None:
        for body in bodies:
            self.client.put(f"/{next(self._ids)}", json=_document(body)).raise_for_status()

    def publish_batch(self, bodies: Sequence[Body]) -> None:
        self._write([{"_id": next(self._ids), **_document(body)} for body in bodies])

    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        answer = self.client.get("/_all_docs", params={"include_docs": "true", "limit": limit}).raise_for_status()
        docs = [row["doc"] for row in answer.json()["rows"]]
        if docs:
            marked = self._write([{**doc, "taken": True} for doc in docs])
            docs = [{**doc, "_rev": rev} for doc, rev in zip(docs, marked, strict=True)]
        return [(doc["_id"], doc["_rev"]) for doc in docs], [json.loads(doc["body"]) for doc in docs]

    def delete(self, ids: list[Any]) -> None:
        self._write([{"_id": id, "_rev": rev, "_deleted": True} for id, rev in ids])

    def _write(self, docs: list[dict[str, Any]]) -> list[str]:
        """The new revisions."""
        answer = self.client.post("/_bulk_docs", json={"docs": docs}).raise_for_status()
        revisions = {each["id"]: each["rev"] for each in answer.json()}
        return [revisions[doc["_id"]] for doc in docs]

    def _connect(self) -> None:
        url = f"http://{HOST}:{self.place.port}/{self.place.name}"
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)


def _document(body: Body) -> dict[str, Any]:
    return {"body": json.dumps(body), "taken": False}
