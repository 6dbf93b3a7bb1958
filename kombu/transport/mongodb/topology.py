"""Exchanges, queues and bindings: one document, whose version is compared where messages are stored."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from pymongo import UpdateOne

from kombu.exceptions import InconsistencyError
from kombu.transport.mongodb.documents import NOW, Document, after
from kombu.transport.mongodb.server import TOPOLOGY, Server
from kombu.transport.virtual.document import DocumentTopology, read_topology
from kombu.transport.virtual.store import TopologyMoved
from kombu.transport.virtual.topology import Topology


class Known(NamedTuple):
    """The topology as it was read. ``ids`` are the numbers of its queues, ``names`` the other way round."""

    version: int
    topology: Topology
    ids: Mapping[str, int]
    names: Mapping[int, str]


class MongoTopology(DocumentTopology[Known]):
    """Beside the text of all that is declared, the document has the number of each queue. A number is never used
    again, so whatever is left of a deleted queue is nobody's.

    A queue has a document of its own, too, in another collection, with those who use it. It is there before the queue
    is, and whoever deletes a queue removes it afterwards; what a crash leaves in between is swept up later.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._known: Known | None = None
        self._read = threading.local()

    def read_document(self) -> tuple[str, Known]:
        with self.server.asking():
            document = self.server.messages.find_one({"_id": TOPOLOGY})
            if document is None:  # somebody has dropped the collection
                self.server.prepare()
                document = {"version": 0, "text": "", "queues": []}
        text, known = self._understood(document)
        self._known = self._read.known = known
        return text, known

    def write_document(self, text: str, version: int, revision: Known) -> bool:
        topology = read_topology(text, self.capabilities.name)
        ids = {name: revision.ids.get(name) or secrets.randbits(62) for name in topology.queues}
        new = {name: id for name, id in ids.items() if name not in revision.ids}
        changed = {"version": version, "text": text, "queues": list(ids.values())}
        with self.server.asking():
            if new:
                self.server.queues.bulk_write([_new_queue(topology, name, id) for name, id in new.items()])
            written = self.server.messages.update_one(
                {"_id": TOPOLOGY, "version": revision.version}, {"$set": changed}
            ).matched_count
            if written:
                self._known = Known(version, topology, ids, {id: name for name, id in ids.items()})
            elif new:
                self.server.queues.delete_many({"_id": {"$in": list(new.values())}})
        return bool(written)

    def known(self) -> Known:
        """The topology as last read."""
        return self._known or self.refreshed()

    def refreshed(self) -> Known:
        """The topology as it is now."""
        return self.read_document()[1]

    def known_with(self, queues: Iterable[str]) -> Known:
        """The topology as last read if it has these queues, and else as it is now, whether it has them or not."""
        known = self.known()
        return known if all(queue in known.ids for queue in queues) else self.refreshed()

    def check_version(self, version: int | None) -> None:
        """Raises :class:`TopologyMoved` when this is not the version now."""
        if version is None:
            return
        with self.server.asking():
            found = self.server.messages.find_one({"_id": TOPOLOGY}, {"version": 1})
        if found is None or found["version"] != version:
            raise TopologyMoved

    def forget_queues(self, queues: Mapping[str, int | None]) -> dict[str, int]:
        """Remove these queues, each only if it has this number, with the bindings to them; answers what was removed."""
        forgotten: dict[str, int] = {}

        def edit(topology: Topology) -> Topology:
            forgotten.clear()
            ids = self._read.known.ids
            meant = (name for name, id in queues.items() if name in ids and id in (None, ids[name]))
            forgotten.update({name: ids[name] for name in meant})
            return _without(topology, forgotten) if forgotten else topology

        self._change(edit)
        return forgotten

    def remove_rest(self, ids: Iterable[int]) -> int:
        """Remove the messages and users of queues that are gone; answers how many messages those were."""
        these = {"$in": list(ids)}
        with self.server.asking():
            removed = self.server.messages.delete_many({"queue": these}).deleted_count
            self.server.queues.delete_many({"_id": these})
        return removed

    def _understood(self, document: Document) -> tuple[str, Known]:
        text, version, ids = document.get("text"), document.get("version"), document.get("queues")
        if isinstance(text, str) and isinstance(version, int) and isinstance(ids, list):
            topology = read_topology(text, self.capabilities.name)
            if len(ids) == len(topology.queues):
                known = dict(zip(topology.queues, ids, strict=True))
                return text, Known(version, topology, known, {id: name for name, id in known.items()})
        raise InconsistencyError(
            f"{self.server.place}: the document {TOPOLOGY!r} of {self.server.settings.messages!r} is damaged or not"
            " ours; restore it, or choose other collections with the option 'collection_prefix'"
        )


def _without(topology: Topology, gone: Mapping[str, int]) -> Topology:
    queues = {name: spec for name, spec in topology.queues.items() if name not in gone}
    bindings = tuple(each for each in topology.bindings if each.to_exchange or each.destination not in gone)
    return replace(topology, queues=queues, bindings=bindings)


def _new_queue(topology: Topology, name: str, id: int) -> UpdateOne:
    life = topology.queues[name].first_life
    fields: Document = {"name": {"$literal": name}, "users": [], "declared_at": NOW}
    if life is not None:
        fields["gone_at"] = after(life)
    return UpdateOne({"_id": id}, [{"$set": fields}], upsert=True)
