"""Exchanges, queues and bindings: one document, replaced only at the revision that was read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from kombu.exceptions import InconsistencyError
from kombu.transport.couchdb import documents, people
from kombu.transport.couchdb.documents import END, TOPOLOGY, Document
from kombu.transport.couchdb.handle import Handle
from kombu.transport.couchdb.http import Database
from kombu.transport.virtual.deadline import Turns
from kombu.transport.virtual.document import DocumentTopology, read_topology
from kombu.transport.virtual.topology import Topology

_ATTEMPTS = 20


class Known(NamedTuple):
    """The topology as it was read. ``numbers`` are those of its queues, ``names`` the other way round."""

    revision: str
    topology: Topology
    numbers: Mapping[str, str]
    names: Mapping[str, str]

    def numbers_of(self, queues: Iterable[str]) -> dict[str, str]:
        """Those of these queues, as far as they exist."""
        return {queue: self.numbers[queue] for queue in queues if queue in self.numbers}


class CouchDBTopology(DocumentTopology[Known]):
    """Beside the text of all that is declared, the document has a number for each queue. A number is never used again,
    so whatever is left of a deleted queue is nobody's.

    A queue has documents of its own: its gate, and the list of its users. They are there before the queue is, and
    whoever deletes a queue removes them afterwards; what a crash leaves in between is swept up later.
    """

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        self.handle = Handle(connect, purge)
        self.lock = Turns()
        self._known: Known | None = None
        self._read = threading.local()

    def read_document(self) -> tuple[str, Known]:
        found = self.handle.database.find([TOPOLOGY]).get(TOPOLOGY)
        text, known = self._understood(found or {"_rev": "", "text": "", "queues": []})
        self._known = self._read.known = known
        return text, known

    def write_document(self, text: str, version: int, revision: Known) -> bool:
        topology = read_topology(text, self.capabilities.name)
        numbers = {name: revision.numbers.get(name) or documents.new_number() for name in topology.queues}
        new = [name for name in numbers if name not in revision.numbers]
        now = self.handle.now()
        made = self.handle.write_new(
            [
                document
                for name in new
                for document in (
                    gate(numbers[name], name),
                    people.nobody(numbers[name], topology.queues[name], now),
                )
            ]
        )
        doc: Document = {"_id": TOPOLOGY, "version": version, "text": text, "queues": list(numbers.values())}
        [written] = self.handle.database.write([{**doc, "_rev": revision.revision} if revision.revision else doc])
        if written is None:
            self.handle.delete(made)
            return False
        self._known = Known(written, topology, numbers, {number: name for name, number in numbers.items()})
        return True

    def known(self) -> Known:
        """The topology as last read."""
        return self._known or self.refreshed()

    def refreshed(self) -> Known:
        """The topology as it is now."""
        return self.read_document()[1]

    def current(self) -> Known:
        """The topology as it is now; a short question while nothing changes."""
        known = self._known
        if known is not None:
            found = self.handle.database.find([TOPOLOGY], docs=False).get(TOPOLOGY, {"_rev": ""})
            if found["_rev"] == known.revision:
                return known
        return self.refreshed()

    def known_with(self, queues: Iterable[str]) -> Known:
        """The topology as last read if it has these queues, and else as it is now, whether it has them or not."""
        known = self.known()
        return known if all(queue in known.numbers for queue in queues) else self.refreshed()

    def forget_queues(self, queues: Mapping[str, str | None]) -> dict[str, str]:
        """Remove these queues, each only if it has this number, with the bindings to them; answers what was removed."""
        forgotten: dict[str, str] = {}

        def edit(topology: Topology) -> Topology:
            forgotten.clear()
            numbers = self._read.known.numbers
            meant = (name for name, number in queues.items() if name in numbers and number in (None, numbers[name]))
            forgotten.update({name: numbers[name] for name in meant})
            return _without(topology, forgotten) if forgotten else topology

        self._change(edit)
        return forgotten

    def remove_rest(self, number: str) -> int:
        """Remove all of a queue that is gone; answers how many messages those were."""
        removed = self.remove(number, lambda doc: True)
        room = documents.room(number)
        for _ in range(_ATTEMPTS):
            own = [*self.handle.ids(room, room + END), documents.gate(number), people.id_of(number)]
            found = self.handle.database.find(own, docs=False)
            gone = self.handle.delete([documents.deleted(id, each["_rev"]) for id, each in found.items()])
            if len(gone) == len(found):
                break
        return removed

    def remove(self, number: str, wanted: Callable[[Document], bool]) -> int:
        """Delete the messages that are wanted, also what somebody has changed meanwhile; answers how many."""
        with self.lock:
            removed = 0
            for _ in range(_ATTEMPTS):
                docs = [doc for doc in self.messages(number) if wanted(doc)]
                gone = self.handle.delete([documents.deleted(doc["_id"], doc["_rev"]) for doc in docs])
                removed += len(gone)
                if len(gone) == len(docs):
                    break
            return removed

    def messages(self, number: str) -> Iterable[Document]:
        """All that the queue holds."""
        for beginning in (documents.ready(number), documents.waiting(number)):
            for doc in self.handle.range(beginning, beginning + END):
                if doc["_id"] != documents.gate(number):
                    yield doc

    def _understood(self, document: Document) -> tuple[str, Known]:
        text, numbers = document.get("text"), document.get("queues")
        if isinstance(text, str) and isinstance(numbers, list):
            topology = read_topology(text, self.capabilities.name)
            if len(numbers) == len(topology.queues):
                known = dict(zip(topology.queues, map(str, numbers), strict=True))
                return text, Known(document["_rev"], topology, known, {number: name for name, number in known.items()})
        raise InconsistencyError(
            f"{self.handle.database.name}: the document {TOPOLOGY!r} is damaged or not ours; restore it, or choose"
            " another database"
        )


def gate(number: str, queue: str) -> Document:
    """A new queue's, which is open."""
    return {"_id": documents.gate(number), "name": queue, "paused": False}


def _without(topology: Topology, gone: Mapping[str, str]) -> Topology:
    queues = {name: spec for name, spec in topology.queues.items() if name not in gone}
    bindings = tuple(each for each in topology.bindings if each.to_exchange or each.destination not in gone)
    return replace(topology, queues=queues, bindings=bindings)
