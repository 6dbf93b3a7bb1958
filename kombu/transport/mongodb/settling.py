"""Settling and renewing: conditional on the token of the claim, so that whoever lost a lease changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from pymongo import DeleteMany, UpdateMany, UpdateOne
from pymongo.client_session import ClientSession

from kombu.transport.mongodb import documents
from kombu.transport.mongodb.documents import Document
from kombu.transport.mongodb.puts import MongoPuts, check_sizes
from kombu.transport.mongodb.topology import Known
from kombu.transport.virtual.store import Done, Lease, MessageId, Move, Outcome, Release, TopologyMoved, in_parts


class MongoSettling(MongoPuts):
    """A batch is one request that sees what is still held, and one for each kind of outcome."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers: list[bool] = []
        for part in in_parts(outcomes):
            answers += [self._move(part)] if isinstance(part, Move) else self._settle(part)
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        if not leases:
            return []
        later = documents.extension(seconds)
        operations = [UpdateMany(_held(token, ids), later) for token, ids in _by_token(leases).items()]
        with self.server.asking():
            matched = self.server.messages.bulk_write(operations, ordered=False).matched_count
        if matched == len(leases):
            return list(leases)
        held = self._tokens(leases)
        return [lease if held.get(lease.id) == lease.token else None for lease in leases]

    def _settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        if len(outcomes) == 1 and isinstance(outcomes[0], Done):
            lease = outcomes[0].lease
            with self.server.asking():
                return [self.server.messages.delete_one({"_id": lease.id, "token": lease.token}).deleted_count == 1]
        tokens = self._tokens([outcome.lease for outcome in outcomes])
        held: list[Outcome] = []
        answers = []
        for outcome in outcomes:
            answers.append(tokens.pop(outcome.lease.id, None) == outcome.lease.token)
            if answers[-1]:
                held.append(outcome)
        if held and (lost := self._carry_out(held)):
            return [answer and outcome.lease not in lost for answer, outcome in zip(answers, outcomes, strict=True)]
        return answers

    def _carry_out(self, outcomes: Sequence[Outcome]) -> set[Lease]:
        """Whose leases were lost at the last moment."""
        operations: list[DeleteMany | UpdateMany] = []
        done = [outcome.lease for outcome in outcomes if isinstance(outcome, Done)]
        operations += [DeleteMany(_held(token, ids)) for token, ids in _by_token(done).items()]
        released: dict[tuple[float, bool], list[Lease]] = {}
        for outcome in outcomes:
            if isinstance(outcome, Release):
                released.setdefault((outcome.delay, outcome.counted), []).append(outcome.lease)
        for (delay, counted), leases in released.items():
            back = documents.release(delay, counted)
            operations += [UpdateMany(_held(token, ids), back) for token, ids in _by_token(leases).items()]
        with self.server.asking():
            result = self.server.messages.bulk_write(operations, ordered=False)
        if result.deleted_count + result.matched_count == len(outcomes):
            return set()
        left = self._tokens(done)
        return {lease for lease in done if lease.id in left}

    def _move(self, move: Move) -> bool:
        if not move.into:
            return self._settle([Done(move.lease)])[0]
        return self._move_at_once(move) if self.server.replicated else self._move_in_order(move)

    def _move_at_once(self, move: Move) -> bool:
        """One step."""
        known, operations = self._places(move)

        def work(session: ClientSession) -> bool:
            gone = self.server.messages.delete_one({"_id": move.lease.id, "token": move.lease.token}, session=session)
            if gone.deleted_count:
                self.store_if_room(move.into, operations, known, session)
            return gone.deleted_count == 1

        with self.server.asking():
            return self.server.transaction(work)

    def _move_in_order(self, move: Move) -> bool:
        """Stored before it is removed. A new token first: of two who move the same message one gets it."""
        _, operations = self._places(move)
        lease, token = move.lease, secrets.randbits(62)
        mine = documents.transfer(token, self.server.settings.timeout)
        with self.server.asking():
            if not self.server.messages.update_one({"_id": lease.id, "token": lease.token}, mine).matched_count:
                return False
            try:
                self.write(operations)
            except BaseException:
                self.server.messages.update_one({"_id": lease.id, "token": token}, {"$set": {"token": lease.token}})
                raise
            return self.server.messages.delete_one({"_id": lease.id, "token": token}).deleted_count == 1

    def _places(self, move: Move) -> tuple[Known, list[UpdateOne]]:
        """Where a move leads, by the topology as it is now. Raises :class:`TopologyMoved` where that is gone."""
        check_sizes(move.into)
        known = self.refreshed()
        if any(queue not in known.ids for queue, _ in move.into):
            raise TopologyMoved
        return known, self.puts(move.into, known)

    def _tokens(self, leases: Sequence[Lease]) -> dict[MessageId, object]:
        """The token that each of these messages has now."""
        with self.server.asking():
            found = self.server.messages.find({"_id": {"$in": [lease.id for lease in leases]}}, {"token": 1})
            return {each["_id"]: each.get("token") for each in found}


def _held(token: int | str, ids: Sequence[MessageId]) -> Document:
    return {"_id": {"$in": list(ids)}, "token": token}


def _by_token(leases: Iterable[Lease]) -> dict[int | str, list[MessageId]]:
    found: dict[int | str, list[MessageId]] = {}
    for _, id, token in leases:
        found.setdefault(token, []).append(id)
    return found
