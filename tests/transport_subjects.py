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
from kombu.testing.transports import TransportCase, TransportConformance
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import VirtualConnection
from tests import beanstalk, couchdb, mongodb, redises, servers
from tests.aws import Region

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
    untold = frozenset({"consumers"})

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


class RedisCase(TransportCase):
    """All keys of a test have a prefix of their own."""

    transport = "redis"
    address = f"redis://{redises.ADDRESS}/0"

    def setup_method(self) -> None:
        super().setup_method()
        self.prefix = redises.new_prefix()

    def teardown_method(self) -> None:
        super().teardown_method()
        redises.remove(self.prefix)

    def url(self) -> str:
        return f"{self.address}?global_keyprefix={self.prefix}"


class OnRedis(RedisCase, TransportConformance):
    pass


class OnSQS(TransportConformance):
    """All queues of a test have a prefix of their own; each look asks what is bound, and a poll lasts a second."""

    transport = "sqs"
    brief = 1.0  # it counts in whole seconds
    lease = 2.0
    fanout = False
    untold = frozenset({"consumers", "oldest"})

    def setup_method(self) -> None:
        super().setup_method()
        self.region = Region()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.region.clean_up(topics=self.fanout)

    def url(self) -> str:
        return self.region.url(supports_fanout=self.fanout)


class OnMongoDB(TransportConformance):
    """A test has a database of its own."""

    transport = "mongodb"

    def setup_method(self) -> None:
        super().setup_method()
        self.database = mongodb.new_database()

    def teardown_method(self) -> None:
        super().teardown_method()
        mongodb.drop(self.database)

    def url(self) -> str:
        return mongodb.url(self.database)


class OnCouchDB(TransportConformance):
    transport = "couchdb"
    brief = 0.5

    def setup_method(self) -> None:
        super().setup_method()
        self.name = f"kombu-{uuid4().hex}"

    def teardown_method(self) -> None:
        super().teardown_method()
        couchdb.drop(self.name)

    def url(self) -> str:
        return f"couchdb://{servers.HOST}:{servers.COUCHDB_PORT}/{self.name}?timeout=30"


class OnBeanstalk(TransportConformance):
    transport = "beanstalk"
    brief = 1.0  # it counts in whole seconds
    untold = frozenset({"consumers"})

    def setup_method(self) -> None:
        super().setup_method()
        self.name = uuid4().hex

    def teardown_method(self) -> None:
        super().teardown_method()
        beanstalk.clear(self.name)

    def url(self) -> str:
        return f"beanstalk://{servers.HOST}:{servers.BEANSTALKD_PORT}/{self.name}"


def _then_disconnect(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()
