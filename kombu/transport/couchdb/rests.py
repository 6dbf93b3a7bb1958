"""What a crash has left of queues that are gone: looked for now and then, as it is in nobody's way."""

from __future__ import annotations

import time

from kombu.transport.couchdb import documents, people, views
from kombu.transport.couchdb.documents import END, SECOND
from kombu.transport.couchdb.topology import CouchDBTopology

_EVERY = 600.0
"""Seconds between two looks."""


class Rests:
    """Of one handle."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _EVERY / 10

    def look(self, store: CouchDBTopology) -> None:
        """Remove them when it is time."""
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _EVERY
            remove_rests(store, _EVERY)


def remove_rests(store: CouchDBTopology, age: float) -> set[str]:
    """The numbers of the queues that are gone, of which something was left. What has messages is asked for before the
    topology is read: what is not in that was deleted. A list of users is there before its queue is, and so is left
    for ``age`` seconds. What nobody has reserved room with for so long goes as well: its publisher may have gone."""
    handle = store.handle
    with_messages = views.numbers(handle.database)
    reserved = list(handle.range("p:", "p:" + END))
    others = {documents.number_in(id) for id in (*handle.ids("u:", "u:" + END), *(doc["_id"] for doc in reserved))}
    before = handle.now() - int(age * SECOND)
    unused = [doc for doc in reserved if doc.get("until", before) < before]
    handle.delete([documents.deleted(doc["_id"], doc["_rev"]) for doc in unused])
    ours = {number for number in with_messages | others if documents.is_number(number)}
    gone = ours - store.refreshed().names.keys()
    users = handle.database.find([people.id_of(number) for number in gone])
    young = {documents.number_in(id) for id, doc in users.items() if doc.get("declared", 0) > before}
    for number in gone - young:
        store.remove_rest(number)
    return gone - young
