"""The deployment: a client, what it can do, the two collections with their indexes, and transactions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, TypeVar

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING, IndexModel, MongoClient, ReadPreference, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.read_concern import ReadConcern

from kombu.exceptions import ConnectionError, InvalidURL, VersionMismatch
from kombu.transport.mongodb.documents import ORDER, Document
from kombu.transport.mongodb.errors import explaining
from kombu.transport.mongodb.settings import Settings
from kombu.transport.virtual.deadline import seconds_to_wait

logger = logging.getLogger(__name__)

T = TypeVar("T")

TOPOLOGY = "kombu.topology"
"""The id of the document, among the messages, with exchanges, queues and bindings: what stores messages compares its
version in the same request."""

_OLDEST = 9
"""The wire version of MongoDB 4.4, the first that can all this."""

_CODEC: CodecOptions[Document] = CodecOptions(
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_MS
)
"""What others have put there must not be an error."""

_HAS_END = {"expires_at": {"$exists": True}}
_MESSAGE_INDEXES = [
    IndexModel([("queue", ASCENDING), *ORDER.items()], name="kombu_claim"),
    IndexModel([("expires_at", ASCENDING)], name="kombu_expiry", partialFilterExpression=_HAS_END),
]
_QUEUE_INDEXES = [
    IndexModel([("gone_at", ASCENDING)], name="kombu_gone", partialFilterExpression={"gone_at": {"$exists": True}})
]


class Server:
    """Open it once; methods may be called from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.place = settings.place
        self.replicated = True
        """Whether it is a replica set or a sharded cluster: those have transactions and change streams."""
        self._client: MongoClient[Document] | None = None

    def open(self) -> None:
        """Connect within the time for that, and make sure of the collections."""
        with explaining(self.place):
            self._client = self._new_client()
            try:
                with pymongo.timeout(self.settings.connect_timeout):
                    self._see_what_it_can(self._client.admin.command("hello"))
                    self._make_collections(self._client)
                    self.prepare()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def client(self) -> MongoClient[Document]:
        if self._client is None:
            raise ConnectionError(f"{self.place}: this connection is closed")
        return self._client

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Errors of the driver in the block arrive as :mod:`kombu.exceptions`; it ends by the caller's deadline where
        that comes sooner than the driver's own for one request."""
        usual = self.client.options.timeout or inf
        seconds = seconds_to_wait(usual)
        with explaining(self.place):
            if seconds < usual:
                with pymongo.timeout(seconds):
                    yield
            else:
                yield

    def prepare(self) -> None:
        """Make the indexes and the document of the topology, unless they are there."""
        if self.messages.find_one({"_id": TOPOLOGY}, {"prepared": 1}) is not None:
            return
        self.messages.create_indexes(_MESSAGE_INDEXES)
        self.queues.create_indexes(_QUEUE_INDEXES)
        empty = {"version": 0, "text": "", "queues": [], "prepared": 1}
        self.messages.update_one({"_id": TOPOLOGY}, {"$setOnInsert": empty}, upsert=True)

    def transaction(self, work: Callable[[ClientSession], T]) -> T:
        """What ``work`` answers, with all that it does in this session, or nothing of it; it may be called again."""
        with pymongo.timeout(self.settings.timeout), self.client.start_session() as session:
            return session.with_transaction(
                work,
                read_concern=ReadConcern("snapshot"),
                write_concern=self.write_concern,
                read_preference=ReadPreference.PRIMARY,
            )

    def _new_client(self) -> MongoClient[Document]:
        try:
            return MongoClient(**self.settings.arguments)
        except (ValueError, TypeError) as exc:  # what the driver says of numbers and types that are wrong
            raise InvalidURL(f"{self.place}: {exc}") from exc

    def _see_what_it_can(self, hello: dict[str, Any]) -> None:
        newest = int(hello.get("maxWireVersion", 0))
        if newest < _OLDEST:
            raise VersionMismatch(f"{self.place}: MongoDB 4.4 or newer is needed (its wire version is {newest})")
        many = "setName" in hello or hello.get("msg") == "isdbgrid"
        self.replicated = many and hello.get("logicalSessionTimeoutMinutes") is not None

    def _make_collections(self, client: MongoClient[Document]) -> None:
        self.write_concern = client.write_concern
        if self.write_concern.is_server_default:
            self.write_concern = WriteConcern("majority")
        if not self.write_concern.acknowledged:
            raise InvalidURL(f"{self.place}: w=0, and nobody would know whether a message is stored; leave it out")
        self.messages = self._collection(client, self.settings.messages)
        self.queues = self._collection(client, self.settings.queues)

    def _collection(self, client: MongoClient[Document], name: str) -> Collection[Document]:
        return client[self.settings.database].get_collection(
            name, codec_options=_CODEC, read_preference=ReadPreference.PRIMARY, write_concern=self.write_concern
        )
