"""Settling and renewing: a new revision of what was claimed, which fails where it is not ours any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kombu.transport.couchdb import documents
from kombu.transport.couchdb.documents import SECOND, Document
from kombu.transport.couchdb.http import Database
from kombu.transport.couchdb.puts import CouchDBPuts
from kombu.transport.virtual.store import Done, Lease, MessageId, Move, Outcome, Release, in_parts


class CouchDBSettling(CouchDBPuts):
    """What this handle has claimed it holds in memory, as it must write it again."""

    def __init__(self, connect: Callable[[], Database], purge: bool | None = None) -> None:
        super().__init__(connect, purge)
        self.held: dict[MessageId, Document] = {}

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self.lock:
            self._fetch([outcome.lease for outcome in outcomes])
            answers: list[bool] = []
            for part in in_parts(outcomes):
                answers += [self._move(part)] if isinstance(part, Move) else self._finish(part)
            return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self.lock:
            self._fetch(leases)
            until = self.handle.now() + int(seconds * SECOND)
            docs = [self._give_up(lease) for lease in leases]
            longer = [{**doc, "available": until} for doc in docs if doc is not None]
            for doc, revision in zip(longer, self.handle.write(longer), strict=True):
                if revision is not None:
                    self.held[doc["_id"]] = {**doc, "_rev": revision}
            return [
                lease if doc is not None and lease.id in self.held else None
                for lease, doc in zip(leases, docs, strict=True)
            ]

    def _fetch(self, leases: Iterable[Lease]) -> None:
        """Read what is not at hand: what another handle has claimed, or nobody holds any more."""
        missing = [str(lease.id) for lease in leases if lease.id not in self.held]
        self.held.update(self.handle.database.find(list(dict.fromkeys(missing))))

    def _give_up(self, lease: Lease) -> Document | None:
        """The document of this lease, which we hold no longer; None where the lease is not the latest."""
        doc = self.held.get(lease.id)
        if doc is None or doc.get("token") != lease.token:
            return None
        return self.held.pop(lease.id)

    def _finish(self, outcomes: Sequence[Done | Release]) -> list[bool]:
        """A revision that is not ours any more cannot be replaced: where that fails, somebody else has the message."""
        now = self.handle.now()
        docs = [self._give_up(outcome.lease) for outcome in outcomes]
        pairs = [(outcome, doc) for outcome, doc in zip(outcomes, docs, strict=True) if doc is not None]
        later = self._postpone(pairs, now)
        changes = [_ended(outcome, doc, now) for outcome, doc in pairs]
        revisions = self.handle.write(changes)
        for (_, doc), revision in zip(pairs, revisions, strict=True):
            if revision is None:
                self.handle.delete(later.get(doc["_id"], []))
        done = {change["_id"]: revision for change, revision in zip(changes, revisions, strict=True)}
        gone = [change for change in changes if "_deleted" in change and done[change["_id"]]]
        self.handle.forget([(change["_id"], str(done[change["_id"]])) for change in gone])
        self._unmark([doc for _, doc in pairs if any(doc["_id"] == change["_id"] for change in gone)])
        return [doc is not None and done[doc["_id"]] is not None for doc in docs]

    def _postpone(self, pairs: Sequence[tuple[Done | Release, Document]], now: int) -> dict[str, list[Document]]:
        """What is released for later gets a place of its own, before it leaves the old one. By the old documents: how
        the new ones are deleted."""
        later: dict[str, list[Document]] = {}
        for outcome, doc in pairs:
            if isinstance(outcome, Release) and outcome.delay > 0:
                back = documents.released(doc, now, outcome.counted)
                new = documents.postponed(back, now + int(outcome.delay * SECOND))
                later[doc["_id"]] = self.handle.write_new(
                    [each for each in (documents.mark(new), new) if each is not None]
                )
        return later

    def _move(self, move: Move) -> bool:
        doc = self.held.get(move.lease.id)
        if doc is None or doc.get("token") != move.lease.token:
            return False
        written = self.store_for_move(move.into)
        [done] = self._finish([Done(move.lease)])
        if not done:
            self.handle.delete(written)
        return done

    def _unmark(self, docs: Sequence[Document]) -> None:
        ids = [found["_id"] for doc in docs if (found := documents.mark(doc))]
        marks = self.handle.database.find(ids, docs=False)
        self.handle.delete([documents.deleted(id, found["_rev"]) for id, found in marks.items()])


def _ended(outcome: Done | Release, doc: Document, now: int) -> Document:
    if isinstance(outcome, Release) and outcome.delay <= 0:
        return documents.released(doc, now, outcome.counted)
    return documents.deleted(doc["_id"], doc["_rev"])
