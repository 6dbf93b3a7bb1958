"""Queues in Redis: messages in, messages out. What has to be one step on the server stands in ``scripts.lua``."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from kombu.exceptions import ConnectionError, KombuError, OperationalError, PublishUncertain
from kombu.transport.redis import scripts
from kombu.transport.redis.bell import Bell
from kombu.transport.redis.browsing import RedisBrowser
from kombu.transport.redis.keys import Keys
from kombu.transport.redis.link import Link
from kombu.transport.redis.records import deliveries, id_text, micro, packed
from kombu.transport.redis.scripts import Script
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    Move,
    Outcome,
    QueueFull,
    Release,
    TopologyMoved,
)
from kombu.utils.uuid import uuid

CAPABILITIES = Capabilities(
    name="redis",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-overflow",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
            "x-single-active-consumer",
        }
    ),
    max_batch=500,
    max_body=512 * 1024 * 1024 - 1024 * 1024,
)
"""A string has 512 MiB at most (https://redis.io/docs/latest/develop/data-types/strings/); the head needs some too."""

_Items = Sequence[tuple[str, Envelope]]

_SHORTEST_POLL, _LONGEST_POLL = 0.002, 0.1
"""Seconds between looks at queues in several places of a cluster, of which none can be waited for alone."""

_PAUSE = 0.05
"""Seconds before a batch is sent again whose answer was lost."""


class RedisStore(RedisBrowser):
    """``patience`` is for how many seconds a batch whose answer was lost is sent again, before it is uncertain."""

    def __init__(self, link: Link, keys: Keys, patience: float = 5.0) -> None:
        super().__init__(link, keys, replace(CAPABILITIES, atomic_put=not link.split))
        self._patience = patience
        self._bell = Bell()
        self._senders: list[_Sender] = []

    def open(self) -> None:
        try:
            self._link.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._link.close()
        self._bell.close()

    def put(self, items: _Items, version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` too: see there. A batch that was sent twice is stored once."""
        if not items:
            if version is not None and self._version() != version:
                raise TopologyMoved
        elif self._link.split:
            self._put_split(items, version)
        else:
            self._put(items, version)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        token, found = random.getrandbits(63), list[Delivery]()
        for queues in self._groups(queue for queue, limit in wants.items() if limit > 0):
            limits = (b"%d" % wants[queue] for queue in queues)
            arguments = [b"%d" % token, micro(lease), *limits]
            found += deliveries(self._link.run(scripts.CLAIM, self._bases(queues), arguments), queues, token)
        return found

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers: list[bool] = []
        for moves, group in groupby(outcomes, key=lambda outcome: isinstance(outcome, Move)):
            if moves:
                answers += [self._move(move) for move in group if isinstance(move, Move)]
            else:
                answers += self._settle([_Step.of(outcome) for outcome in group])
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        kept = self._settle([_Step(lease, b"extend", micro(seconds), b"0") for lease in leases])
        return [lease if there else None for lease, there in zip(leases, kept, strict=True)]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if self._bell.heard() or not queues:
            return
        groups = list(self._groups(queues))
        if len(groups) > 1:
            self._poll(groups, deadline)
            return
        due = self._due(groups[0])
        seconds = min(deadline - time.monotonic(), due)
        if seconds > 0:
            lists = [base + b":wake" for base in self._bases(groups[0])]
            self._retried(lambda: self._link.block(lists, seconds, self._bell))
            self._bell.heard()

    def wake(self) -> None:
        self._bell.ring()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        found: dict[str, Counts] = {}
        for names in self._groups(queues):
            for queue, numbers in zip(names, self._again(scripts.COUNTS, self._bases(names), []), strict=True):
                if numbers:
                    ready, delayed, leased, age = numbers
                    oldest = int(age) / 1e6 if age else None
                    found[queue] = Counts(ready=int(ready), delayed=int(delayed), leased=int(leased), oldest=oldest)
        return found

    def purge(self, queue: str) -> int:
        return int(self._again(scripts.PURGE, [self._keys.queue(queue)], []))

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        found: list[Delivery] = []
        looked_at = self._again(scripts.LOOK, [self._keys.topology], [b"mortal", _SWEEP_AGAIN, b"%d" % limit])
        for base in looked_at:
            if len(found) >= limit:
                self._mark(b":mortal", base, b"1")
                continue
            token = random.getrandbits(63)
            arguments = [b"%d" % token, micro(lease), b"%d" % (limit - len(found))]
            again, answer = self._link.run(scripts.EXPIRED, [base], arguments)
            if again:
                self._mark(b":mortal", base, again)
            found += deliveries(answer, [self._keys.name(base)], token, expired=True)
        return found

    def _put(self, items: _Items, version: int | None) -> None:
        queues = [items[0][0]] if len(items) == 1 else list(dict.fromkeys(queue for queue, _ in items))
        bases = self._bases(queues)
        with_version = b"" if version is None else b"%d" % version
        self._store(queues, [*bases, *self._here()], with_version, _batches(items, queues))

    def _put_split(self, items: _Items, version: int | None, sender: _Sender | None = None) -> None:
        """In a cluster: the version is looked at, and the queues too where a batch is for several, before any of it
        is stored. A queue may still go meanwhile; what was stored elsewhere by then will be there twice."""
        queues = {queue: [item for item in items if item[0] == queue] for queue in dict.fromkeys(q for q, _ in items)}
        if version is not None and self._version() != version:
            raise TopologyMoved
        for queue, own in queues.items() if len(queues) > 1 else ():
            size = sum(len(envelope.body) for _, envelope in own)
            arguments = [b"%d" % len(own), b"%d" % size]
            _raise_unless_stored(self._again(scripts.ROOM, [self._keys.queue(queue)], arguments), [queue])
        for queue, own in queues.items():
            base = self._keys.queue(queue)
            if any(envelope.ttl is not None for _, envelope in own):
                self._mark(b":mortal", base, b"1")
            self._store([queue], [base], b"", _batches(own, [queue]), sender)

    def _store(
        self,
        queues: Sequence[str],
        keys: list[bytes],
        version: bytes,
        batches: list[bytes],
        sender: _Sender | None = None,
    ) -> None:
        """Raises what ``put`` does."""
        mine = sender or self._free_sender()
        try:
            arguments = [b"%d" % len(queues), mine.next(), version, *batches]
            answer = self._surely(scripts.PUT, [keys[0] + b":sent:" + mine.name, *keys], arguments)
        finally:
            if sender is None:
                self._senders.append(mine)
        _raise_unless_stored(answer, queues)

    def _free_sender(self) -> _Sender:
        try:
            return self._senders.pop()
        except IndexError:
            return _Sender(uuid())

    def _surely(self, script: Script, keys: list[bytes], arguments: list[bytes]) -> Any:
        """What a batch is answered, sent again while nobody knows whether the server has carried it out."""
        try:
            return self._link.run(script, keys, arguments, confirm=True)
        except ConnectionError as exc:
            if not exc.uncertain:
                raise
            uncertain = exc
        deadline = time.monotonic() + self._patience
        while True:
            time.sleep(_PAUSE)
            try:
                return self._link.run(script, keys, arguments, confirm=True)
            except OperationalError as exc:
                if time.monotonic() < deadline:
                    continue
                raise PublishUncertain(f"{uncertain}; what was being stored may be, or not ({exc})") from uncertain
            except PublishUncertain:
                raise
            except KombuError as exc:
                raise PublishUncertain(f"{uncertain}; what was being stored may be, or not ({exc})") from uncertain

    def _move(self, move: Move) -> bool:
        lease, into = move
        if not into:
            return self._settle([_Step(lease, b"done")])[0]
        if self._link.split:
            return self._move_split(move)
        queues = list(dict.fromkeys(queue for queue, _ in into))
        keys = [self._keys.queue(lease.queue), *self._bases(queues), *self._here()]
        arguments = [b"%d" % len(queues), id_text(lease.id), _token(lease), *_batches(into, queues)]
        answer = self._link.run(scripts.MOVE, keys, arguments)
        if answer == b"lost":
            return False
        _raise_unless_stored(answer, queues)
        return True

    def _move_split(self, move: Move) -> bool:
        """In a cluster: stored in its new place before it leaves the old; once, though two may do it."""
        lease, into = move
        base = self._keys.queue(lease.queue)
        if not self._again(scripts.HOLDS, [base], [id_text(lease.id), _token(lease)]):
            return False
        try:
            self._put_split(into, None, _Mover(f"{lease.token}-{lease.id}"))
        except PublishUncertain as exc:
            raise OperationalError(f"message {lease.id} of queue {lease.queue!r} stays there: {exc}") from exc
        return self._settle([_Step(lease, b"done")])[0]

    def _settle(self, steps: Sequence[_Step]) -> list[bool]:
        """A second answer to the same lease comes too late, and is False."""
        answers: dict[int, bool] = {}
        for queues in self._groups(step.lease.queue for step in steps):
            places = {queue: b"%d" % number for number, queue in enumerate(queues, start=1)}
            mine = [(number, step) for number, step in enumerate(steps) if step.lease.queue in places]
            arguments: list[bytes] = []
            for like, group in groupby((step for _, step in mine), key=_Step.like):
                ids = [id_text(step.lease.id) for step in group]
                queue, what, token, delay, counted = like
                arguments += [places[queue], what, token, delay, counted, b"%d" % len(ids), *ids]
            told = self._again(scripts.SETTLE, self._bases(queues), arguments)
            answers.update((number, flag == 49) for (number, _), flag in zip(mine, told, strict=True))
        return [answers[number] for number in range(len(steps))]

    def _poll(self, groups: Sequence[list[str]], deadline: float) -> None:
        pause = _SHORTEST_POLL
        while True:
            due = min(self._due(queues) for queues in groups)
            remaining = deadline - time.monotonic()
            if due <= 0 or remaining <= 0:
                return
            self._bell.wait(min(pause, due, remaining))
            if self._bell.heard():
                return
            pause = min(pause * 1.5, _LONGEST_POLL)

    def _due(self, queues: Sequence[str]) -> float:
        """Seconds until something may be claimed."""
        answer = self._again(scripts.DUE, self._bases(queues), [])
        return int(answer) / 1e6 if answer else float("inf")


_SWEEP_AGAIN = micro(60.0)
"""When a queue whose messages expire is looked at again, should who looks at it die meanwhile."""


class _Sender:
    """Numbers the batches of one thread at a time, so that the server knows one that it has had already."""

    __slots__ = ("_number", "name")

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self._number = 0

    def next(self) -> bytes:
        self._number += 1
        return b"%d" % self._number


class _Mover(_Sender):
    """Whoever moves the same message is the same, and it is one batch for each queue."""

    __slots__ = ()

    def next(self) -> bytes:
        return b"1"


class _Step:
    """What is to become of a lease, in the words of the script."""

    __slots__ = ("counted", "lease", "micro", "what")

    def __init__(self, lease: Lease, what: bytes, micro: bytes = b"0", counted: bytes = b"1") -> None:
        self.lease = lease
        self.what = what
        self.micro = micro
        self.counted = counted

    @classmethod
    def of(cls, outcome: Outcome) -> _Step:
        match outcome:
            case Release(lease, delay, counted):
                return cls(lease, b"release", micro(delay), b"1" if counted else b"0")
            case Done(lease) | Move(lease):
                return cls(lease, b"done")

    def like(self) -> tuple[str, bytes, bytes, bytes, bytes]:
        """Steps in a row that have the same go together."""
        return self.lease.queue, self.what, _token(self.lease), self.micro, self.counted


def _raise_unless_stored(answer: int, queues: Sequence[str]) -> None:
    """By what a script that stores answers."""
    if answer == 0:
        raise TopologyMoved
    if answer < 0:
        raise QueueFull(queues[-answer - 1])


def _token(lease: Lease) -> bytes:
    return str(lease.token).encode()


def _batches(items: _Items, queues: Sequence[str]) -> list[bytes]:
    """As ``scripts.lua`` reads them: messages in a row that are for the same queue and alike go together."""
    if len(items) == 1:
        _, envelope = items[0]
        return [b"1", *_alike(envelope), b"1", packed(envelope)]
    numbers = {queue: b"%d" % number for number, queue in enumerate(queues, start=1)}
    parts: list[bytes] = []
    for (queue, *_), group in groupby(items, key=lambda item: (item[0], *item[1][2:])):
        envelopes = [envelope for _, envelope in group]
        parts += [numbers[queue], *_alike(envelopes[0]), b"%d" % len(envelopes), *map(packed, envelopes)]
    return parts


def _alike(envelope: Envelope) -> tuple[bytes, bytes, bytes]:
    _, _, priority, delay, ttl = envelope
    return b"%d" % priority, micro(delay) if delay else b"0", b"" if ttl is None else micro(ttl)
