"""MongoDB for the tests: a database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kombu.transport.base import Address
from tests import servers

if TYPE_CHECKING:
    from pymongo import MongoClient

    from kombu.transport.mongodb import MongoStore


def url(database: str, port: int = servers.MONGODB_PORT, query: str = "") -> str:
    """Straight to that port, whatever the set of replicas says of its members."""
    return f"mongodb://{servers.HOST}:{port}/{database}?directConnection=true{query}"


def new_store(database: str, **options: object) -> MongoStore:
    """Not open yet."""
    from kombu.transport.mongodb import MongoStore
    from kombu.transport.mongodb.server import Server
    from kombu.transport.mongodb.settings import read_settings

    return MongoStore(Server(read_settings(Address(hostname=url(database), options=options))))


@contextmanager
def database() -> Iterator[str]:
    """The name of one that is dropped afterwards."""
    name = new_database()
    try:
        yield name
    finally:
        drop(name)


def new_database() -> str:
    """A name that nobody has; :func:`drop` it."""
    return f"kombu_{uuid4().hex[:16]}"


def drop(name: str) -> None:
    with client() as everything:
        everything.drop_database(name)


def client() -> MongoClient[dict[str, Any]]:
    """The driver's own."""
    from pymongo import MongoClient

    return MongoClient(servers.HOST, servers.MONGODB_PORT, directConnection=True)
