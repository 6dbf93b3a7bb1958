"""A handle's way into its database, and what takes more than one request there: many documents, and long ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kombu.exceptions import ConnectionError, NotFound, OperationalError, PreconditionFailed
from kombu.transport.couchdb import documents
from kombu.transport.couchdb.changes import Changes
from kombu.transport.couchdb.documents import Document
from kombu.transport.couchdb.http import EXISTS, MISSING, Database

PAGE = 100
_MOST_DOCUMENTS = 200
_MOST_BYTES = 4 << 20
"""In one request."""


class Handle:
    """``connect`` gives connections to the database. ``purge``: whether the server removes tombstones when it is asked;
    None: see whether it does."""

    database: Database
    changes: Changes

    def __init__(self, connect: Callable[[], Database], purge: bool | None) -> None:
        self._connect = connect
        self._purges = purge

    def open(self) -> None:
        """Connect, and make the database where there is none."""
        self.database = self._connect()
        try:
            self._create()
            if self._purges is None:
                self._purges = self._can_purge()
        except BaseException:
            self.database.close()
            raise
        self.changes = Changes(self._connect)

    def now(self) -> int:
        """By the server's clock."""
        return self.database.clock.now()

    def write(self, docs: Sequence[Document]) -> list[str | None]:
        """The new revision of each, None where another came first."""
        revisions: list[str | None] = []
        for request in _requests(docs):
            answered = self.database.write(request)
            self.changes.made(answered)
            revisions += answered
        return revisions

    def write_new(self, docs: Sequence[Document]) -> list[Document]:
        """All of these, or none where one is refused; answers how they are deleted again."""
        written: list[Document] = []
        try:
            for request in _requests(docs):
                revisions = self.database.write(request)
                self.changes.made(revisions)
                written += [documents.deleted(d["_id"], r) for d, r in zip(request, revisions, strict=True) if r]
        except (OperationalError, PreconditionFailed) as exc:
            if not isinstance(exc, ConnectionError):
                self.delete(written)
            raise
        return written

    def delete(self, docs: Sequence[Document]) -> list[str]:
        """The ids of those that were there."""
        removed: list[tuple[str, str]] = []
        for request in _requests(docs):
            revisions = self.database.write(request)
            removed += [(doc["_id"], rev) for doc, rev in zip(request, revisions, strict=True) if rev is not None]
        self.forget(removed)
        return [id for id, _ in removed]

    def forget(self, removed: Sequence[tuple[str, str]]) -> None:
        """Remove the tombstones of these documents and revisions, where the server can."""
        for start in range(0, len(removed) if self._purges else 0, PAGE):
            body = {id: [revision] for id, revision in removed[start : start + PAGE]}
            self.database.ask("POST", "/_purge", body=body)

    def range(self, start: str, end: str, first: int = PAGE) -> Iterator[Document]:
        """All documents between these ids, page by page; ``first`` is how many are wanted at first."""
        size, skip = min(max(first, 8), PAGE), 0
        while True:
            params = {"startkey": start, "endkey": end, "limit": size, "skip": skip, "include_docs": True}
            rows = self.database.rows(params)
            yield from (row["doc"] for row in rows if row.get("doc"))
            if len(rows) < size:
                return
            start, skip, size = rows[-1]["id"], 1, PAGE

    def ids(self, start: str, end: str) -> Iterator[str]:
        """The ids of all documents between these."""
        skip = 0
        while True:
            rows = self.database.rows({"startkey": start, "endkey": end, "limit": PAGE, "skip": skip})
            yield from (row["id"] for row in rows)
            if len(rows) < PAGE:
                return
            start, skip = rows[-1]["id"], 1

    def _create(self) -> None:
        status, _ = self.database.ask("GET", expect=(MISSING,))
        if status == MISSING:
            try:
                self.database.ask("PUT", expect=(EXISTS,))
            except (OperationalError, NotFound) as exc:
                raise OperationalError(f"{self.database.name} does not exist, and cannot be created: {exc}") from exc

    def _can_purge(self) -> bool:
        """Whether tombstones can be removed: CouchDB can from 2.3 on."""
        try:
            self.database.ask("POST", "/_purge", body={})
        except OperationalError:
            return False
        return True


def _requests(docs: Sequence[Document]) -> Iterator[list[Document]]:
    """As many in one as are not too much for it."""
    request: list[Document] = []
    size = 0
    for doc in docs:
        weight = sum(len(part) for part in (doc.get("body"), doc.get("head")) if isinstance(part, str))
        if request and (len(request) == _MOST_DOCUMENTS or size + weight > _MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(doc)
        size += weight
    if request:
        yield request
