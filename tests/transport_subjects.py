"""The transports that the conformance suite tries, and that the table compares."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from django.db import connections
from sqlalchemy import Engine

from kombu import Queue
from kombu.testing.transports import TransportConformance
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import VirtualConnection

T = TypeVar("T")


class OnMemory(TransportConformance):
    transport = "memory"

    def setup_method(self) -> None:
        super().setup_method()
        self.name = uuid4().hex

    def teardown_method(self) -> None:
        super().teardown_method()
        MemoryStore.reset(self.name)

    def url(self) -> str:
        return f"memory://{self.name}"

    def hold_and_die(self, queue: str) -> None:
        """Its queues are in this process, so a connection dies alone: its keeper ends, and nothing is given back."""
        connection = self.connect(**self.dying)
        assert Queue(queue)(connection).get() is not None
        inner = connection.connection
        assert isinstance(inner, VirtualConnection)
        inner.ledger._keeper.stop()


class OnFile(TransportConformance):
    """The example of a transport of one's own."""

    transport = "sqlite-file"

    def setup_method(self) -> None:
        super().setup_method()
        self.folder = Path(tempfile.mkdtemp(prefix="kombu-tests-"))

    def teardown_method(self) -> None:
        super().teardown_method()
        shutil.rmtree(self.folder)

    def url(self) -> str:
        return f"examples.own_transport.Transport:///{self.folder}/queues.sqlite3"


class OnFilesystem(TransportConformance):
    transport = "filesystem"

    def setup_method(self) -> None:
        super().setup_method()
        self.folder = Path(tempfile.mkdtemp(prefix="kombu-tests-"))

    def teardown_method(self) -> None:
        super().teardown_method()
        shutil.rmtree(self.folder)

    def url(self) -> str:
        return f"filesystem:///{self.folder}/spool"


class OnDjango(TransportConformance):
    """``alias`` is the database."""

    transport = "django"
    victim_setup = "django:setup"
    alias: str

    def url(self) -> str:
        return f"django://{self.alias}"

    def teardown_method(self) -> None:
        super().teardown_method()
        connections.close_all()

    def at_once(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Each thread closes its connections itself, as Django leaves it to who starts threads."""
        return super().at_once([partial(_then_disconnect, call) for call in calls])


class OnSQLite(OnDjango):
    alias = "default"


class OnPostgreSQL(OnDjango):
    alias = "postgresql"


class OnMariaDB(OnDjango):
    alias = "mariadb"


class OnSQLAlchemy(TransportConformance):
    transport = "sqlalchemy"
    database: str

    def use(self, engine: Engine) -> None:
        """The database of this engine; each connection makes one of its own."""
        self.database = engine.url.render_as_string(hide_password=False)

    def url(self) -> str:
        return f"sqla+{self.database}"


def _then_disconnect(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()
