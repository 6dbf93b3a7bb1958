"""Storing: the topology is looked at, and then the messages are written, as many as may be in one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kombu.exceptions import ConnectionError, PublishUncertain
from kombu.transport.couchdb import documents
from kombu.transport.couchdb.documents import Document
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.limits import CouchDBLimits
from kombu.transport.couchdb.topology import Known
from kombu.transport.virtual.store import Envelope, TopologyMoved


class CouchDBPuts(CouchDBLimits):
    """What is stored in a queue that somebody deletes at the same moment has a number that is nobody's any more."""

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        super().__init__(connect, purge)
        self._last = 0

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` where the server did not say whether it has stored them."""
        known = self._check(items, version)
        with self.room_for(items, known) as waited:
            if waited:
                known = self._check(items, version)
            try:
                self.store(items, known)
            except ConnectionError as exc:
                if exc.uncertain:
                    raise PublishUncertain(f"{exc}; whether the messages were stored nobody knows") from exc
                raise

    def store_for_move(self, items: Sequence[tuple[str, Envelope]]) -> list[Document]:
        """How they are deleted again."""
        if not items:
            return []
        known = self._check(items)
        with self.room_for(items, known):
            return self.store(items, known)

    def store(self, items: Sequence[tuple[str, Envelope]], known: Known) -> list[Document]:
        """All, or none if one is refused; answers how they are deleted again."""
        docs = []
        with self.lock:
            for queue, envelope in items:
                self._last = max(self.handle.now(), self._last + 1)  # each has a place of its own
                docs.append(documents.message(queue, known.numbers[queue], envelope, self._last))
            marked = [each for doc in docs for each in (documents.mark(doc), doc) if each is not None]
            return self.handle.write_new(marked)

    def _check(self, items: Iterable[tuple[str, Envelope]], version: int | None = None) -> Known:
        """Raises :class:`TopologyMoved` when this is not the version now, or has not these queues."""
        known = self.current()
        if version not in (None, known.topology.version) or not all(queue in known.numbers for queue, _ in items):
            raise TopologyMoved
        return known
