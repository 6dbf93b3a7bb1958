"""MongoDB for the tests: a database of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from kombu.connection.parameters import Arguments
from tests import servers
from tests.instances import Instance, instance

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.monitoring import CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent

    from kombu.transport.mongodb import MongoStore


def url(database: str, port: int = servers.MONGODB_PORT, query: str = "") -> str:
    """Straight to that port, whatever the set of replicas says of its members."""
    return f"mongodb://{servers.HOST}:{port}/{database}?directConnection=true{query}"


def new_store(database: str, port: int = servers.MONGODB_PORT, **options: object) -> MongoStore:
    """Not open yet."""
    from kombu.transport.mongodb import MongoStore
    from kombu.transport.mongodb.server import Server
    from kombu.transport.mongodb.settings import read_settings

    return MongoStore(Server(read_settings(Arguments(transport_options=options).target(url(database, port)).address)))


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


def client(port: int = servers.MONGODB_PORT) -> MongoClient[dict[str, Any]]:
    """The driver's own."""
    from pymongo import MongoClient

    return MongoClient(servers.HOST, port, directConnection=True)


@contextmanager
def private(options: str = "") -> Iterator[Instance]:
    """A server of the test's own, which may be started :func:`again`."""
    with program(), instance("mongodb", {"KOMBU_MONGODB_OPTIONS": options}) as made:
        yield made


def again(server: Instance, options: str) -> None:
    """Start it with other options, and what it has stored."""
    server.end("fast")
    server._settings["KOMBU_MONGODB_OPTIONS"] = options
    server.start()


@contextmanager
def program() -> Iterator[None]:
    """It is installed once, where the checkout has it already."""
    installed = Path(__file__).parent.parent / ".services" / "mongodb" / "venv"
    with pytest.MonkeyPatch.context() as patch:
        if installed.exists():
            patch.setenv("KOMBU_MONGODB_VENV", str(installed))
        yield


def new_requests() -> Requests:
    """What a client sends, if it is given as one of its ``event_listeners``."""
    from pymongo.monitoring import CommandListener

    class Listener(Requests, CommandListener):
        pass

    return Listener()


class Requests:
    """But for those of the driver's own and of change streams."""

    _LEFT_OUT = frozenset({"endSessions", "hello", "ping", "getMore", "killCursors"})

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self._answers: list[tuple[str, dict[str, Any]]] = []

    @property
    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.commands]

    @property
    def total(self) -> int:
        return len(self.commands)

    def settled(self, name: str) -> int:
        """How many documents the requests of this name have changed."""
        return sum(int(answer["n"]) for command, answer in self._answers if command == name)

    def started(self, event: CommandStartedEvent) -> None:
        watching = any("$changeStream" in stage for stage in event.command.get("pipeline", ()))
        if event.command_name not in self._LEFT_OUT and not watching:
            self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self._answers.append((event.command_name, dict(event.reply)))

    def failed(self, event: CommandFailedEvent) -> None:
        pass
