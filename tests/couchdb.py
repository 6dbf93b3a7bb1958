"""CouchDB as the tests use it: a database for each, which is gone afterwards."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx

from kombu.transport.couchdb import CouchDBStore
from kombu.transport.couchdb.http import Database
from tests import servers


class Counted(Database):
    """Counts what it asks for."""

    requests = 0

    def ask(self, *args: Any, **options: Any) -> tuple[int, Any]:
        self.requests += 1
        return super().ask(*args, **options)


def url(database: str = "") -> str:
    return f"http://{servers.HOST}:{servers.COUCHDB_PORT}/{database}"


def new_store(database: str) -> CouchDBStore:
    """An open handle on it, which counts its requests."""
    store = CouchDBStore(partial(Counted, url().rstrip("/"), database, None, None, True, 5.0, 20.0))
    store.open()
    return store


def requests(store: CouchDBStore) -> int:
    """How many there were, but for those of the thread that is told of changes."""
    counted = store.handle.database
    assert isinstance(counted, Counted)
    return counted.requests


def drop(database: str) -> None:
    httpx.delete(url(database), timeout=30, trust_env=False)
