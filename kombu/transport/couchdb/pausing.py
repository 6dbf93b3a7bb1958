"""Paused queues: their gates are closed, which whoever claims finds before the messages."""

from __future__ import annotations

from functools import partial

from kombu.transport.couchdb import documents
from kombu.transport.couchdb.topology import gate
from kombu.transport.couchdb.users import CouchDBUsers, LostRace


class CouchDBGates(CouchDBUsers):
    """A change of a gate is told to those who wait as a new message is."""

    def pause(self, queue: str, paused: bool = True) -> bool:
        if queue not in self.refreshed().numbers:
            return False
        self.retried(partial(self._set_gate, queue, paused))
        self.handle.changes.tell()
        return queue in self.known().numbers

    def paused(self) -> list[str]:
        known = self.current()
        gates = self.handle.database.find([documents.gate(number) for number in known.names])
        return [known.names[documents.number_in(id)] for id, doc in gates.items() if is_closed(doc)]

    def _set_gate(self, queue: str, paused: bool) -> None:
        number = self.current().numbers.get(queue)
        if number is None:
            return
        found = self.handle.database.find([documents.gate(number)])
        doc = found.get(documents.gate(number), gate(number, queue))
        if self.handle.write([{**doc, "paused": paused}]) == [None]:
            raise LostRace


def is_closed(gate: documents.Document) -> bool:
    return bool(gate.get("paused"))
