"""CouchDB as the tests use it: a database for each, which is gone afterwards."""

from __future__ import annotations

import httpx

from tests import servers


def url(database: str = "") -> str:
    return f"http://{servers.HOST}:{servers.COUCHDB_PORT}/{database}"


def drop(database: str) -> None:
    httpx.delete(url(database), timeout=30, trust_env=False)
