"""One queue of the in-memory transport: its messages in the order of delivery, the leases, and who uses it.

Messages that come as usual wait in one line for each priority. Those that come out of turn (delayed, put back, or
with a lease that ran out) wait in heaps; an entry of a heap is good only while its turn is the message's latest.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, islice

from kombu.transport.virtual.store import Counts, Delivery, Envelope, Lease, MessageId, QueueSpec, User

_ids = count(1)
_NEVER = math.inf


class _Stored:
    """A message in its queue. ``due`` is its place in line, ``available_at`` when it may be claimed, ``turn`` how
    often it changed its place, ``token`` that of the latest claim."""

    __slots__ = (
        "available_at",
        "deliveries",
        "due",
        "envelope",
        "expires_at",
        "id",
        "leased",
        "stored_at",
        "token",
        "turn",
    )

    def __init__(self, id: int, envelope: Envelope, now: float, due: float, expires_at: float) -> None:
        self.id = id
        self.envelope = envelope
        self.stored_at = now
        self.due = self.available_at = due
        self.expires_at = expires_at
        self.deliveries = 0
        self.turn = 0
        self.token: MessageId = 0
        self.leased = False


_Entry = tuple[float, int, int, _Stored]
"""When, the message's id, its turn, and the message."""


class Queue:
    """All methods expect that the caller holds the lock, and ``now`` never goes back."""

    def __init__(self, spec: QueueSpec, now: float) -> None:
        self.spec = spec
        self.refuses = spec.refuses_when_full and (spec.max_length is not None or spec.max_bytes is not None)
        self._lines: dict[int, deque[_Stored]] = {0: deque()}
        self._returned: list[tuple[int, float, int, int, _Stored]] = []
        self._later: list[_Entry] = []
        self._leases: dict[MessageId, dict[MessageId, _Stored]] = {}
        self._lapses: list[tuple[float, MessageId]] = []
        self._noted: tuple[float, MessageId] | None = None
        self._mortal: list[_Entry] = []
        self._ready = 0
        self._delayed = 0
        self._leased = 0
        self._users: dict[User, float] = {}
        life = spec.first_life
        self.gone_at = math.inf if life is None else now + life

    @property
    def total(self) -> int:
        return self._ready + self._delayed + self._leased

    def add(self, envelope: Envelope, now: float) -> None:
        _, _, priority, delay, ttl = envelope
        stored = _Stored(next(_ids), envelope, now, now + delay, _NEVER if ttl is None else now + ttl)
        if delay:
            self._delayed += 1
            heappush(self._later, (stored.due, stored.id, 0, stored))
        else:
            self._ready += 1
            line = self._lines.get(priority)
            if line is None:
                line = self._lines[priority] = deque()
                self._lines = dict(sorted(self._lines.items(), reverse=True))
            line.append(stored)
        if ttl is not None:
            heappush(self._mortal, (stored.expires_at, stored.id, 0, stored))
            if len(self._mortal) > 2 * self.total + 64:
                self._mortal = [entry for entry in self._mortal if not _gone(entry[3])]
                heapify(self._mortal)

    def claim(self, limit: int, now: float, seconds: float, token: int) -> list[Delivery]:
        """Lease up to ``limit`` messages, in order."""
        self._promote(now)
        if limit <= 0 or not self._ready:
            return []
        taken = self._take_ready(limit)
        self._ready -= len(taken)
        return self._lease(taken, now, seconds, token)

    def claim_expired(self, now: float, seconds: float, token: int) -> Iterator[Delivery]:
        """Lease those whose time to live is over, one by one, as they are asked for."""
        self._promote(now)
        seen: list[_Entry] = []
        try:
            while self._mortal and self._mortal[0][0] <= now:
                entry = heappop(self._mortal)
                stored = entry[3]
                if _gone(stored):
                    continue
                seen.append(entry)
                if not stored.leased:
                    self._take(stored, now)
                    yield from self._lease([stored], now, seconds, token)
        finally:
            for entry in seen:
                heappush(self._mortal, entry)

    def claim_chosen(self, ids: Sequence[int], now: float, seconds: float, token: int) -> list[Delivery]:
        """Lease those that nobody holds."""
        self._promote(now)
        wanted = {stored.id: stored for stored in self._free()}
        chosen = [wanted[id] for id in ids if id in wanted]
        for stored in chosen:
            self._take(stored, now)
        return self._lease(chosen, now, seconds, token)

    def browse(self, limit: int, after: MessageId | None, now: float) -> list[Delivery]:
        self._promote(now)
        leased = (stored for group in self._leases.values() for stored in group.values() if stored.leased)
        every = sorted((*self._free(), *leased), key=lambda stored: stored.id)
        later = (stored for stored in every if after is None or stored.id > int(after))
        return [self._delivery(stored, now, stored.token) for stored in islice(later, limit)]

    def holds(self, lease: Lease) -> bool:
        """Whether it is the message's latest; it may have run out since."""
        return lease.id in self._leases.get(lease.token, ())

    def remove(self, lease: Lease) -> _Stored:
        """Take a message out by its lease, which is good."""
        group = self._leases[lease.token]
        stored = group.pop(lease.id)
        if not group:
            del self._leases[lease.token]
        if stored.leased:
            self._leased -= 1
        else:
            self._ready -= 1
        stored.turn = -1
        return stored

    def release(self, lease: Lease, now: float, delay: float, counted: bool) -> None:
        turn = self._leases[lease.token][lease.id].turn
        stored = self.remove(lease)
        stored.token, stored.leased = 0, False
        stored.deliveries -= not counted
        stored.turn = turn + 1
        if delay:
            stored.due = now + delay
        stored.available_at = stored.due
        if stored.due > now:
            self._delayed += 1
            heappush(self._later, (stored.due, stored.id, stored.turn, stored))
        else:
            self._return(stored)

    def extend(self, lease: Lease, now: float, seconds: float) -> bool:
        if not self.holds(lease):
            return False
        stored = self._leases[lease.token][lease.id]
        if not stored.leased:
            stored.leased = True
            stored.turn += 1
            self._ready -= 1
            self._leased += 1
        stored.available_at = now + seconds
        self._note_lapse(stored.available_at, stored.token)
        return True

    def next_due(self) -> float:
        """When the next message may be claimed; in the past when one is ready."""
        if self._ready:
            return -math.inf
        while self._later and self._later[0][2] != self._later[0][3].turn:
            heappop(self._later)
        while self._lapses and self._lapses[0][1] not in self._leases:
            heappop(self._lapses)
        later = self._later[0][0] if self._later else math.inf
        return min(later, self._lapses[0][0] if self._lapses else math.inf)

    def counts(self, now: float) -> Counts:
        self._promote(now)
        heads = [line[0] for line in self._lines.values() if line]
        ready = [stored for stored in heads if not _moved(stored)]
        ready += [stored for *_, turn, stored in self._returned if stored.turn == turn]
        return Counts(
            ready=self._ready,
            delayed=self._delayed,
            leased=self._leased,
            oldest=max((now - stored.stored_at for stored in ready), default=None),
        )

    def purge(self, now: float) -> int:
        self._promote(now)
        free = list(self._free())
        for stored in free:
            self._take(stored, now)
            stored.turn = -1
        self._lines = {0: deque()}
        self._returned.clear()
        self._later.clear()
        return len(free)

    def has_room(self, items: Sequence[tuple[str, Envelope]], now: float) -> bool:
        """Whether it may take its part of ``items``."""
        self._promote(now)
        new = [envelope for name, envelope in items if name == self.spec.name]
        most, most_bytes = self.spec.max_length, self.spec.max_bytes
        if most is not None and self._ready + len(new) > most:
            return False
        return most_bytes is None or self._bytes() + sum(len(envelope.body) for envelope in new) <= most_bytes

    def surplus(self, now: float) -> int:
        """How many messages at the head are too many."""
        self._promote(now)
        most, most_bytes = self.spec.max_length, self.spec.max_bytes
        over = 0 if most is None else max(self._ready - most, 0)
        if most_bytes is not None:
            excess = self._bytes() - most_bytes
            for place, stored in enumerate(sorted(self._waiting(), key=_place), start=1):
                if excess <= 0:
                    break
                excess -= len(stored.envelope.body)
                over = max(over, place)
        return over

    def attend(self, user: User, now: float, seconds: float) -> bool:
        if self.gone_at <= now:
            return False
        if seconds:
            self._users[user] = now + seconds
        life = self.spec.unused_life
        if life is not None:
            self.gone_at = max(self.gone_at if self.gone_at < math.inf else 0.0, now + seconds + life)
        return True

    def leave(self, user: User, now: float) -> None:
        was_there = self._users.pop(user, None) is not None
        life = self.spec.unused_life
        if life is None or not was_there:
            return
        there = self.attending(now)
        lost_last = user.consumer and self.spec.auto_delete and not any(other.consumer for other in there)
        if lost_last:
            self.gone_at = now
        elif not there:
            self.gone_at = now + life

    def attending(self, now: float) -> list[User]:
        self._users = {user: until for user, until in self._users.items() if until > now}
        return list(self._users)

    def _promote(self, now: float) -> None:
        """What has become available moves to where the next claim looks."""
        while self._later and self._later[0][0] <= now:
            _, _, turn, stored = heappop(self._later)
            if stored.turn == turn:
                self._delayed -= 1
                self._return(stored)
        while self._lapses and self._lapses[0][0] <= now:
            _, token = heappop(self._lapses)
            self._lapse(token, now)

    def _lapse(self, token: MessageId, now: float) -> None:
        """Those of a claim whose lease has run out wait again; until another claim the lease can still settle them."""
        for stored in self._leases.get(token, {}).values():
            if stored.leased and stored.available_at <= now:
                stored.leased = False
                self._leased -= 1
                self._return(stored)

    def _note_lapse(self, until: float, token: MessageId) -> None:
        """Leases of this claim may run out then. Those who claim or extend many say so once."""
        if (until, token) == self._noted:
            return
        self._noted = (until, token)
        heappush(self._lapses, self._noted)
        if len(self._lapses) > 4 * (len(self._leases) + 16):
            self._lapses = [entry for entry in self._lapses if entry[1] in self._leases]
            heapify(self._lapses)

    def _return(self, stored: _Stored) -> None:
        stored.turn += 1
        self._ready += 1
        heappush(self._returned, (-stored.envelope.priority, stored.due, stored.id, stored.turn, stored))

    def _take_ready(self, limit: int) -> list[_Stored]:
        """Up to ``limit`` of what is ready, in order, out of the lines and the heap."""
        taken: list[_Stored] = []
        while len(taken) < limit and (stored := self._next_ready()) is not None:
            taken.append(stored)
        return taken

    def _next_ready(self) -> _Stored | None:
        returned = self._returned
        while returned and returned[0][3] != returned[0][4].turn:
            heappop(returned)
        for line in self._lines.values():
            while line and line[0].turn:
                line.popleft()  # it was taken out of turn
            if line:
                return line.popleft() if not returned or _place(line[0]) < returned[0][:3] else heappop(returned)[4]
        return heappop(returned)[4] if returned else None

    def _lease(self, taken: list[_Stored], now: float, seconds: float, token: int) -> list[Delivery]:
        if not taken:
            return []
        until = now + seconds
        self._leased += len(taken)
        group = self._leases.setdefault(token, {})
        self._note_lapse(until, token)
        deliveries = []
        for stored in taken:
            if stored.token:
                self._forget(stored)
            stored.token = token
            stored.leased = True
            stored.available_at = until
            stored.turn += 1
            stored.deliveries += 1
            group[stored.id] = stored
            deliveries.append(self._delivery(stored, now, token))
        return deliveries

    def _delivery(self, stored: _Stored, now: float, token: MessageId) -> Delivery:
        envelope = stored.envelope
        return Delivery(
            Lease(self.spec.name, stored.id, token),
            envelope.head,
            envelope.body,
            envelope.priority,
            stored.deliveries,
            stored.expires_at <= now,
            now - stored.stored_at,
        )

    def _take(self, stored: _Stored, now: float) -> None:
        """Out of the line, out of turn."""
        if stored.available_at > now:
            self._delayed -= 1
        else:
            self._ready -= 1
        if stored.token:
            self._forget(stored)
        stored.turn += 1

    def _forget(self, stored: _Stored) -> None:
        """A lease that has run out and is another claim's now."""
        group = self._leases[stored.token]
        del group[stored.id]
        if not group:
            del self._leases[stored.token]
        stored.token = 0

    def _waiting(self) -> Iterator[_Stored]:
        """What is ready."""
        for line in self._lines.values():
            yield from (stored for stored in line if not _moved(stored))
        yield from (stored for *_, turn, stored in self._returned if stored.turn == turn)

    def _free(self) -> Iterator[_Stored]:
        """What nobody holds."""
        yield from self._waiting()
        yield from (stored for *_, turn, stored in self._later if stored.turn == turn)

    def _bytes(self) -> int:
        return sum(len(stored.envelope.body) for stored in self._waiting())


def _moved(stored: _Stored) -> bool:
    """Whether a message of a line was taken out of turn."""
    return stored.turn != 0


def _gone(stored: _Stored) -> bool:
    return stored.turn == -1


def _place(stored: _Stored) -> tuple[int, float, int]:
    return -stored.envelope.priority, stored.due, stored.id
