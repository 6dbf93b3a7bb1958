"""Queues of limited length: room is reserved before anything is stored, by a revision that one publisher can write."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from kombu.exceptions import ConnectionError, KombuError, PublishUncertain
from kombu.retry import RetryPolicy, retry
from kombu.transport.couchdb import rooms, views
from kombu.transport.couchdb.documents import Document
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

    Whoever reserves reads what is reserved, then counts what is ready, and then writes a revision that is based on what
    was read. Whatever another publisher stores is in that count, or still reserved, or makes this revision fail.
    """

    @contextmanager
    def room_for(self, items: Sequence[tuple[str, Envelope]], known: Known) -> Iterator[bool]:
        """Keeps room for these messages; whether any queue needs that. Raises :class:`QueueFull`."""
        who = secrets.token_hex(8)
        held: dict[str, Document] = {}
        wanted = rooms.wanted(items, known.topology.queues)
        try:
            for queue in sorted(wanted):
                held[queue] = self._reserve(known, queue, wanted[queue], who)
            yield bool(wanted)
        except (ConnectionError, PublishUncertain):
            held.clear()  # nobody knows what was stored: what is reserved lapses
            raise
        finally:
            for doc in held.values():
                self._give_back(doc, who)

    def _reserve(self, known: Known, queue: str, wanted: Room, who: str) -> Document:
        reserve = partial(self._reserve_once, known, queue, wanted, who)
        try:
            return retry(reserve, catch=LostRace, policy=_PATIENCE, timeout=seconds_to_wait(_PATIENT))
        except LostRace:
            raise QueueFull(queue) from None

    def _reserve_once(self, known: Known, queue: str, wanted: Room, who: str) -> Document:
        """The document as it is then."""
        number, spec, database = known.numbers[queue], known.topology.queues[queue], self.handle.database
        empty = rooms.nothing_reserved(number, queue)
        doc = database.find([empty["_id"]]).get(empty["_id"], empty)
        now = self.handle.now()
        ready = views.ready(database, number, now)
        if not rooms.fits(spec, ready + wanted):
            raise QueueFull(queue)
        others = rooms.reserved(doc, now)
        if not rooms.fits(spec, ready + rooms.total(others) + wanted):
            raise LostRace  # some of it may be counted twice, as it is being stored
        return self._replace(doc, [*others, rooms.reservation(who, wanted, database.timeout, now)])

    def _give_back(self, doc: Document, who: str) -> None:
        known = [doc]
        try:
            self.retried(lambda: self._give_back_once(known.pop() if known else self._latest(doc), who))
        except KombuError as exc:  # the messages are stored, or refused, whatever becomes of this: it lapses
            logger.info("room in queue %r stays reserved for a while: %s", doc["name"], exc)

    def _give_back_once(self, doc: Document | None, who: str) -> None:
        if doc is not None:
            self._replace(doc, [each for each in doc["reserved"] if each["who"] != who])

    def _latest(self, doc: Document) -> Document | None:
        return self.handle.database.find([doc["_id"]]).get(doc["_id"])

    def _replace(self, doc: Document, reserved: list[dict[str, Any]]) -> Document:
        new = {**doc, "reserved": reserved}
        [revision] = self.handle.write([new])
        if revision is None:
            raise LostRace
        return {**new, "_rev": revision}
