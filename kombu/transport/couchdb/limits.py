"""Queues of limited length: room is reserved before anything is stored in one that refuses when it is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from kombu.exceptions import ConnectionError, KombuError, PublishUncertain
from kombu.retry import RetryPolicy, retry
from kombu.transport.couchdb import documents, rooms, views
from kombu.transport.couchdb.documents import END, Document
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.pausing import CouchDBGates
from kombu.transport.couchdb.rooms import Room
from kombu.transport.couchdb.topology import Known
from kombu.transport.couchdb.users import LostRace
from kombu.transport.virtual.deadline import seconds_to_wait
from kombu.transport.virtual.store import Envelope, QueueFull

logger = logging.getLogger(__name__)

_PATIENCE = RetryPolicy(max_retries=None, interval_start=0.002, interval_step=0.004, interval_max=0.2, jitter=1.0)
_PATIENT = 5.0
"""Seconds to wait for room that others have reserved, who are storing, or have gone."""


class CouchDBLimits(CouchDBGates):
    """CouchDB has no transactions, so that counting and storing are two steps. Between them the room is reserved.

    Whoever has reserved room reads what others have reserved, and then counts what is ready. Of two publishers the one
    who was later to reserve finds the other's reservation, or else the other's messages; so both are never let in where
    there is room for one. Where that keeps both out, the one whose document comes later withdraws.
    """

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        super().__init__(connect, purge)
        self._unused: dict[str, list[Document]] = {}
        """By the numbers of queues: what has been given back, to be used again."""

    @contextmanager
    def room_for(self, items: Sequence[tuple[str, Envelope]], known: Known) -> Iterator[bool]:
        """Keeps room for these messages; whether any queue needs that. Raises :class:`QueueFull`."""
        held: list[Document] = []
        wanted = rooms.wanted(items, known.topology.queues)
        try:
            for queue in sorted(wanted):
                self._reserve(known, queue, wanted[queue], held)
            yield bool(wanted)
        except (ConnectionError, PublishUncertain):
            held.clear()  # nobody knows what was stored: what is reserved lapses
            raise
        finally:
            for doc in held:
                self._give_back(doc)

    def _reserve(self, known: Known, queue: str, wanted: Room, held: list[Document]) -> None:
        """``held`` is what is reserved already, in other queues."""
        reserve = partial(self._reserve_once, known, queue, wanted, held, len(held))
        try:
            retry(reserve, catch=LostRace, policy=_PATIENCE, timeout=seconds_to_wait(_PATIENT))
        except LostRace:
            raise QueueFull(queue) from None

    def _reserve_once(self, known: Known, queue: str, wanted: Room, held: list[Document], place: int) -> None:
        number, spec, database = known.numbers[queue], known.topology.queues[queue], self.handle.database
        if len(held) == place:
            held.append(self._take_room(number, queue, wanted))
        mine, beginning = held[place], documents.room(number)
        others = [doc for doc in self.handle.range(beginning, beginning + END) if doc["_id"] != mine["_id"]]
        now = self.handle.now()
        ready = views.ready(database, number, now)
        if rooms.fits(spec, ready + rooms.total(others, now) + wanted):
            return
        if not rooms.fits(spec, ready + wanted):
            raise QueueFull(queue)
        before = [doc for doc in others if doc["_id"] < mine["_id"]]
        if not rooms.fits(spec, ready + rooms.total(before, now) + wanted):
            self._give_back(held.pop())
        raise LostRace

    def _take_room(self, number: str, queue: str, wanted: Room) -> Document:
        while True:
            try:
                doc = self._unused[number].pop()
            except LookupError:
                doc = rooms.new(number, queue)
            doc = rooms.taken(doc, wanted, self.handle.database.timeout, self.handle.now())
            [revision] = self.handle.write([doc])
            if revision is not None:  # or it was swept up, as it had not been used for long
                return {**doc, "_rev": revision}

    def _give_back(self, doc: Document) -> None:
        doc = rooms.given_back(doc, self.handle.now())
        try:
            [revision] = self.handle.write([doc])
        except KombuError as exc:  # the messages are stored, or refused, whatever becomes of this: it lapses
            logger.info("room in queue %r stays reserved for a while: %s", doc["name"], exc)
        else:
            if revision is not None:
                self._unused.setdefault(documents.number_in(doc["_id"]), []).append({**doc, "_rev": revision})
