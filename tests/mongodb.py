"""MongoDB for the tests: a database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from pymongo import MongoClient

from kombu.transport.base import Address
from kombu.transport.mongodb import MongoStore
from kombu.transport.mongodb.server import Server
from kombu.transport.mongodb.settings import read_settings
from tests import servers


def url(database: str, port: int = servers.MONGODB_PORT, query: str = "") -> str:
    """Straight to that port, whatever the set of replicas says of its members."""
    return f"mongodb://{servers.HOST}:{port}/{database}?directConnection=true{query}"


def new_store(database: str, **options: object) -> MongoStore:
    """Not open yet."""
    return MongoStore(Server(read_settings(Address(hostname=url(database), options=options))))


@contextmanager
def database() -> Iterator[str]:
    """The name of one that is dropped afterwards."""
    name = f"kombu_{uuid4().hex[:16]}"
    try:
        yield name
    finally:
        with client() as everything:
            everything.drop_database(name)


def client() -> MongoClient[dict[str, object]]:
    """The driver's own."""
    return MongoClient(servers.HOST, servers.MONGODB_PORT, directConnection=True)
