"""Users come and go by revisions of a queue's document, of which one wins; and so does the end of a queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from kombu.exceptions import OperationalError
from kombu.retry import RetryPolicy, retry
from kombu.transport.couchdb import people
from kombu.transport.couchdb.documents import Document, number_in
from kombu.transport.couchdb.topology import CouchDBTopology, Known
from kombu.transport.virtual.store import QueueSpec, User

_RETRIES = 60
_PATIENCE = RetryPolicy(max_retries=_RETRIES, interval_start=0.002, interval_step=0.004, interval_max=0.2, jitter=1.0)
"""For a change before which others come: some four seconds, besides what reading and writing takes."""

_Step = Callable[[Document, User, QueueSpec, int], Document]


class CouchDBUsers(CouchDBTopology):
    """Whoever finds that a queue's life is over says so in its document first. From then on nobody comes to it, and
    of those who delete it the one who takes it out of the topology tells of it."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        def come(doc: Document, user: User, queue: QueueSpec, now: int) -> Document:
            return people.coming(doc, user, queue, seconds, now)

        alive = self._change_users(users, come)
        return [user.queue in alive for user in users]

    def leave(self, users: Sequence[User]) -> None:
        self._change_users(users, people.leaving)

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        _, found = self._look(set(queues))
        now = self.handle.now()
        return {queue: people.there(doc, queue, now) for queue, doc in found.items()}

    def expire_queues(self) -> list[str]:
        known = self.current()
        temporary = [name for name, queue in known.topology.queues.items() if queue.temporary]
        now = self.handle.now()
        over = [doc for doc in self._documents(known, temporary).values() if people.is_over(doc, now)]
        new = [people.ended(doc) for doc in over if "over" not in doc]
        late = {doc["_id"] for doc, revision in zip(new, self.handle.write(new), strict=True) if revision is None}
        numbers = [number_in(doc["_id"]) for doc in over if doc["_id"] not in late]
        gone = self.forget_queues({known.names[number]: number for number in numbers}) if numbers else {}
        for number in gone.values():
            self.remove_rest(number)
        return list(gone)

    def _change_users(self, users: Sequence[User], step: _Step) -> set[str]:
        """The queues whose lives are not over, and which have been changed if need be."""
        alive: set[str] = set()
        self.retried(partial(self._change_users_once, users, step, alive))
        return alive

    def _change_users_once(self, users: Sequence[User], step: _Step, alive: set[str]) -> None:
        """``alive`` are those that have been changed before."""
        known, found = self._look({user.queue for user in users} - alive)
        now = self.handle.now()
        changed: dict[str, Document] = {}
        for queue, doc in found.items():
            if people.is_over(doc, now):
                continue
            after = doc
            for user in users:
                if user.queue == queue:
                    after = step(after, user, known.topology.queues[queue], now)
            if after == doc:
                alive.add(queue)
            else:
                changed[queue] = after
        revisions = self.handle.write(list(changed.values()))
        alive.update(queue for queue, revision in zip(changed, revisions, strict=True) if revision is not None)
        if None in revisions:
            raise LostRace

    def _look(self, queues: Collection[str]) -> tuple[Known, dict[str, Document]]:
        """By the names of the queues, of those that exist."""
        known = self.known_with(queues)
        found = self._documents(known, queues)
        if len(found) < len(known.numbers_of(queues)):  # deleted meanwhile, and perhaps declared again
            known = self.refreshed()
            found = self._documents(known, queues)
        return known, found

    def _documents(self, known: Known, queues: Collection[str]) -> dict[str, Document]:
        ids = {people.id_of(number): queue for queue, number in known.numbers_of(queues).items()}
        return {ids[id]: doc for id, doc in self.handle.database.find(list(ids)).items()}

    def retried(self, call: Callable[[], object]) -> None:
        """Until it no longer raises :class:`LostRace`."""
        try:
            retry(call, catch=LostRace, policy=_PATIENCE)
        except LostRace:
            raise OperationalError(
                f"{self.handle.database.name}: others kept changing the same document: nothing came of"
                f" {_RETRIES + 1} attempts; try again"
            ) from None


class LostRace(Exception):
    """Another change of the document came first."""
