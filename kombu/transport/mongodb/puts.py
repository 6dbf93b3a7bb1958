"""Storing: the first operation of a request looks at the topology's version, and those behind it store messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from kombu.exceptions import ConnectionError, PreconditionFailed, PublishUncertain
from kombu.transport.mongodb import documents
from kombu.transport.mongodb.errors import write_errors
from kombu.transport.mongodb.ids import Ids
from kombu.transport.mongodb.limits import MongoLimits, refuses
from kombu.transport.mongodb.server import TOPOLOGY, Server
from kombu.transport.mongodb.topology import Known
from kombu.transport.virtual.store import Envelope, TopologyMoved

MAX_BODY = 15 << 20
MAX_MESSAGE = (16 << 20) - 4096
"""Bytes: a document has 16 MiB at most (https://www.mongodb.com/docs/manual/reference/limits/)."""

_ATTEMPTS = 4
"""How often a put without a version is routed by a topology that has moved."""
_TYPE_MISMATCH = 14


class MongoPuts(MongoLimits):
    """What is cut off while it is stored the driver sends again under the same number, by which the server knows it:
    https://www.mongodb.com/docs/manual/core/retryable-writes/."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._ids = Ids()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` where the server did not say whether it has stored them."""
        if not items:
            self.check_version(version)
            return
        try:
            self._put(items, version)
        except ConnectionError as exc:
            if exc.uncertain:
                raise PublishUncertain(f"{exc}; {len(items)} messages may have been stored, or not") from exc
            raise

    def _put(self, items: Sequence[tuple[str, Envelope]], version: int | None) -> None:
        check_sizes(items)
        known = self.known_with(queue for queue, _ in items)
        for attempt in range(_ATTEMPTS):
            if version not in (None, known.version) and not attempt:
                known = self.refreshed()
            if version not in (None, known.version) or any(queue not in known.ids for queue, _ in items):
                raise TopologyMoved
            try:
                self._store(items, known)
                return
            except TopologyMoved:
                known = self.refreshed()
        raise TopologyMoved

    def _store(self, items: Sequence[tuple[str, Envelope]], known: Known) -> None:
        """One request where there is one message, and another to commit more than one."""
        operations = self.puts(items, known)
        with self.server.asking():
            if any(refuses(known.topology.queues[queue]) for queue, _ in items):
                self.server.transaction(lambda session: self.store_if_room(items, operations, known, session))
            elif len(items) > 1 and self.server.replicated:
                self.server.transaction(lambda session: self.write(operations, session))
            else:
                self.write(operations)

    def store_if_room(
        self, items: Sequence[tuple[str, Envelope]], operations: list[UpdateOne], known: Known, session: ClientSession
    ) -> None:
        self.see_room(session, known, items)
        self.write(operations, session)

    def puts(self, items: Sequence[tuple[str, Envelope]], known: Known) -> list[UpdateOne]:
        ids = self._ids.take(len(items))
        stores = [documents.put(id, known.ids[queue], each) for id, (queue, each) in zip(ids, items, strict=True)]
        return [_unless_moved(known.version), *stores]

    def write(self, operations: list[UpdateOne], session: ClientSession | None = None) -> None:
        """In order: the first looks at the version, and the others are left out where it fails."""
        try:
            self.server.messages.bulk_write(operations, session=session)
        except BulkWriteError as exc:
            if (0, _TYPE_MISMATCH) in write_errors(exc):
                raise TopologyMoved from None
            raise


def _unless_moved(version: int) -> UpdateOne:
    """Fails where the topology has another version, as text cannot be counted up; else it finds nothing to change."""
    return UpdateOne({"_id": TOPOLOGY, "version": {"$ne": version}}, {"$inc": {"text": 1}})


def check_sizes(items: Iterable[tuple[str, Envelope]]) -> None:
    for queue, envelope in items:
        size = len(envelope.body) + len(envelope.head.encode("utf-8", "replace"))
        if size > MAX_MESSAGE:
            raise PreconditionFailed(
                f"a message of {size} bytes with its headers for queue {queue!r}: transport 'mongodb' keeps"
                f" {MAX_MESSAGE} bytes at most"
            )
