"""One queue of the in-memory transport: its messages in the order of delivery, and their leases.

Messages that come as usual wait in one line for each priority. Those that come out of turn (delayed, put back, or
with a lease that ran out) wait in heaps. A waiting message is a plain tuple of plain values: Python's garbage
collector, which would otherwise go through a long queue again and again, leaves such tuples alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, islice
from operator import itemgetter

from kombu.transport.memory.users import Users
from kombu.transport.virtual.store import Counts, Delivery, Envelope, Lease, MessageId, QueueSpec

_ids = count(1)
_new = tuple.__new__
"""Makes a named tuple without a step in Python: two for every message."""
_id = itemgetter(0)
_NEVER = math.inf

_Message = tuple[int, str, bytes, int, float, float, float, int]
"""Id, head, body, priority, when it was stored, its place in line (when it was due), when it expires, and how often
it was delivered."""


class _Claim:
    """Messages that were leased together, until when; ``extended`` has those of another time."""

    __slots__ = ("extended", "messages", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.messages: dict[MessageId, _Message] = {}
        self.extended: dict[MessageId, float] = {}

    def ends(self, id: MessageId) -> float:
        return self.extended.get(id, self.until) if self.extended else self.until


class Queue:
    """All methods expect that the caller holds the lock, and ``now`` never goes back."""

    def __init__(self, spec: QueueSpec, now: float) -> None:
        self.spec = spec
        self.paused = False
        self.refuses = spec.refuses_when_full and (spec.max_length is not None or spec.max_bytes is not None)
        self._lines: dict[int, deque[_Message]] = {0: deque()}
        self._skipped: set[int] = set()
        """Those in a line that were taken out of turn."""
        self._out: dict[int, _Message] = {}
        """Those in a heap; an entry of a heap is good only if it is about the very same message."""
        self._returned: list[tuple[int, float, int, _Message]] = []
        self._later: list[tuple[float, int, _Message]] = []
        self._claims: dict[MessageId, _Claim] = {}
        self._lapsed: dict[int, MessageId] = {}
        """Those whose lease ran out, with its token: it can settle them until another claim has them."""
        self._lapses: list[tuple[float, MessageId]] = []
        self._mortal: list[tuple[float, int]] = []
        self._ready = 0
        self._delayed = 0
        self._leased = 0
        self.users = Users(spec, now)

    @property
    def total(self) -> int:
        return self._ready + self._delayed + self._leased

    def add(self, envelope: Envelope, now: float) -> None:
        head, body, priority, delay, ttl = envelope
        id = next(_ids)
        if ttl is not None:
            self._note_expiry(now + ttl, id)
        message = (id, head, body, priority, now, now + delay, _NEVER if ttl is None else now + ttl, 0)
        if delay:
            self._wait_out(message, now)
            return
        self._ready += 1
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = deque()
            self._lines = dict(sorted(self._lines.items(), reverse=True))
        line.append(message)

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
        if not self._mortal or self._mortal[0][0] > now:
            return
        free = {message[0]: message for message in self._free()}
        for message in [free[id] for at, id in sorted(self._mortal) if at <= now and id in free]:
            self._take(message, now)
            yield from self._lease([message], now, seconds, token)

    def claim_chosen(self, ids: Sequence[int], now: float, seconds: float, token: int) -> list[Delivery]:
        """Lease those that nobody holds."""
        self._promote(now)
        free = {message[0]: message for message in self._free()}
        chosen = [free[id] for id in ids if id in free]
        for message in chosen:
            self._take(message, now)
        return self._lease(chosen, now, seconds, token)

    def browse(self, limit: int, after: MessageId | None, now: float) -> list[Delivery]:
        self._promote(now)
        held = ((m, token) for token, claim in self._claims.items() for m in claim.messages.values())
        leased = [(_counted(m), token) for m, token in held if m[0] not in self._lapsed]
        free = [(message, self._lapsed.get(message[0], 0)) for message in self._free()]
        every = sorted(each for each in (*free, *leased) if after is None or each[0][0] > int(after))
        return [self._delivery(message, now, token) for message, token in islice(every, limit)]

    def holds(self, lease: Lease) -> bool:
        """Whether it is the message's latest; it may have run out since."""
        claim = self._claims.get(lease[2])
        return claim is not None and lease[1] in claim.messages

    def remove(self, lease: Lease) -> _Message | None:
        """Take a message out by its lease; None where that is not the message's latest."""
        _, id, token = lease
        claim = self._claims.get(token)
        message = None if claim is None else claim.messages.pop(id, None)
        if claim is None or message is None:
            return None
        if not claim.messages:
            del self._claims[token]
        if self._lapsed and self._lapsed.pop(message[0], None) is not None:
            del self._out[message[0]]
            self._ready -= 1
        else:
            self._leased -= 1
        return message

    def release(self, lease: Lease, now: float, delay: float, counted: bool) -> bool:
        """False where the lease is not the message's latest."""
        message = self.remove(lease)
        if message is None:
            return False
        if counted:
            message = _counted(message)
        if delay:
            message = (*message[:5], now + delay, *message[6:])
        self._wait_out(message, now)
        return True

    def extend(self, lease: Lease, now: float, seconds: float) -> bool:
        if not self.holds(lease):
            return False
        _, id, token = lease
        claim = self._claims[token]
        if self._lapsed.pop(claim.messages[id][0], None) is not None:
            del self._out[claim.messages[id][0]]
            self._ready -= 1
            self._leased += 1
        claim.extended[id] = now + seconds
        self._note_lapse(now + seconds, token)
        return True

    def end_leases(self, now: float) -> None:
        """All of them run out at this moment."""
        for token, claim in self._claims.items():
            claim.until = now
            claim.extended.clear()
            self._note_lapse(now, token)

    def next_due(self) -> float:
        """When the next message may be claimed; in the past when one is ready."""
        if self._ready:
            return -_NEVER
        while self._later and self._out.get(self._later[0][1]) is not self._later[0][2]:
            heappop(self._later)
        while self._lapses and self._lapses[0][1] not in self._claims:
            heappop(self._lapses)
        later = self._later[0][0] if self._later else _NEVER
        return min(later, self._lapses[0][0] if self._lapses else _NEVER)

    def counts(self, now: float) -> Counts:
        self._promote(now)
        heads = [line[0] for line in self._lines.values() if line and line[0][0] not in self._skipped]
        ready = heads + [message for *_, message in self._returned if self._out.get(message[0]) is message]
        return Counts(
            ready=self._ready,
            delayed=self._delayed,
            leased=self._leased,
            oldest=max((now - message[4] for message in ready), default=None),
        )

    def purge(self, now: float) -> int:
        self._promote(now)
        free = list(self._free())
        for message in free:
            self._take(message, now)
        self._lines = {0: deque()}
        self._skipped.clear()
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
            for place, message in enumerate(sorted(self._waiting(), key=_place), start=1):
                if excess <= 0:
                    break
                excess -= len(message[2])
                over = max(over, place)
        return over

    def _promote(self, now: float) -> None:
        """What has become available moves to where the next claim looks."""
        while self._later and self._later[0][0] <= now:
            _, id, message = heappop(self._later)
            if self._out.get(id) is message:
                self._delayed -= 1
                self._wait_out(message, now)
        while self._lapses and self._lapses[0][0] <= now:
            _, token = heappop(self._lapses)
            self._lapse(token, now)

    def _lapse(self, token: MessageId, now: float) -> None:
        """Those of a claim whose lease has run out wait again; until another claim the lease can still settle them."""
        claim = self._claims.get(token)
        if claim is None:
            return
        for id, message in claim.messages.items():
            if claim.ends(id) <= now and message[0] not in self._lapsed:
                self._lapsed[message[0]] = token
                self._leased -= 1
                self._wait_out(_counted(message), now)

    def _note_lapse(self, until: float, token: MessageId) -> None:
        """Leases of this claim may run out then. Those who extend many say so once."""
        if self._lapses and self._lapses[-1] == (until, token):
            return
        heappush(self._lapses, (until, token))
        if len(self._lapses) > 4 * (len(self._claims) + 16):
            self._lapses = sorted({entry for entry in self._lapses if entry[1] in self._claims})

    def _note_expiry(self, at: float, id: int) -> None:
        """Messages that are gone are forgotten here once they are the greater part."""
        heappush(self._mortal, (at, id))
        if len(self._mortal) > 2 * self.total + 64:
            leased = (message[0] for claim in self._claims.values() for message in claim.messages.values())
            there = {id, *leased, *(message[0] for message in self._free())}
            self._mortal = [entry for entry in self._mortal if entry[1] in there]
            heapify(self._mortal)

    def _wait_out(self, message: _Message, now: float) -> None:
        """Wait in a heap: to become available, or ready but out of turn."""
        id, due = message[0], message[5]
        self._out[id] = message
        if due > now:
            self._delayed += 1
            heappush(self._later, (due, id, message))
        else:
            self._ready += 1
            heappush(self._returned, (*_place(message), message))

    def _take_ready(self, limit: int) -> list[_Message]:
        """Up to ``limit`` of what is ready, in order, out of the lines and the heap."""
        if not self._returned and not self._skipped and len(self._lines) == 1:
            line = self._lines[0]
            return [line.popleft() for _ in range(min(limit, len(line)))]
        taken: list[_Message] = []
        while len(taken) < limit and (message := self._next_ready()) is not None:
            taken.append(message)
        return taken

    def _next_ready(self) -> _Message | None:
        returned = self._returned
        while returned and self._out.get(returned[0][2]) is not returned[0][3]:
            heappop(returned)
        for line in self._lines.values():
            while self._skipped and line and line[0][0] in self._skipped:
                self._skipped.discard(line.popleft()[0])
            if line:
                if not returned or _place(line[0]) < returned[0][:3]:
                    return line.popleft()
                break
        return self._out.pop(heappop(returned)[2]) if returned else None

    def _lease(self, taken: list[_Message], now: float, seconds: float, token: int) -> list[Delivery]:
        if not taken:
            return []
        claim = self._claims.get(token)
        if claim is None:
            claim = self._claims[token] = _Claim(now + seconds)
            self._note_lapse(claim.until, token)
        self._leased += len(taken)
        if self._lapsed:
            for message in taken:
                self._forget_lapsed(message[0])
        claim.messages.update(zip(map(_id, taken), taken, strict=True))
        name = self.spec.name
        return [
            _new(Delivery, (_new(Lease, (name, id, token)), head, body, priority, n + 1, end <= now, now - stored_at))
            for id, head, body, priority, stored_at, _, end, n in taken
        ]

    def _delivery(self, message: _Message, now: float, token: MessageId) -> Delivery:
        id, head, body, priority, stored_at, _, expires_at, delivered = message
        lease = Lease(self.spec.name, id, token)
        return Delivery(lease, head, body, priority, delivered, expires_at <= now, now - stored_at)

    def _take(self, message: _Message, now: float) -> None:
        """Out of turn."""
        id, due = message[0], message[5]
        if due > now:
            self._delayed -= 1
        else:
            self._ready -= 1
        if self._out.pop(id, None) is None:
            self._skipped.add(id)
        self._forget_lapsed(id)

    def _forget_lapsed(self, id: int) -> None:
        """The lease that has run out is good for nothing any more."""
        token = self._lapsed.pop(id, None)
        if token is not None:
            claim = self._claims[token]
            del claim.messages[id]
            if not claim.messages:
                del self._claims[token]

    def _waiting(self) -> Iterator[_Message]:
        """What is ready."""
        for line in self._lines.values():
            yield from (message for message in line if message[0] not in self._skipped)
        yield from (message for *_, message in self._returned if self._out.get(message[0]) is message)

    def _free(self) -> Iterator[_Message]:
        """What nobody holds."""
        yield from self._waiting()
        yield from (message for *_, message in self._later if self._out.get(message[0]) is message)

    def _bytes(self) -> int:
        return sum(len(message[2]) for message in self._waiting())


def _counted(message: _Message) -> _Message:
    """Delivered once more."""
    return (*message[:7], message[7] + 1)


def _place(message: _Message) -> tuple[int, float, int]:
    return -message[3], message[5], message[0]
