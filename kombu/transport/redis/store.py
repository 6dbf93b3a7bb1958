"""Queues in Redis: messages in, messages out. What has to be one step on the server stands in ``scripts.lua``."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from kombu.exceptions import OperationalError, PublishUncertain
from kombu.transport.redis import scripts
from kombu.transport.redis.bell import Bell
from kombu.transport.redis.keys import Keys
from kombu.transport.redis.link import Link
from kombu.transport.redis.records import deliveries, id_text, micro
from kombu.transport.redis.sending import Mover, RedisSender, batches, raise_unless_stored
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Done,
    Lease,
    Move,
    Outcome,
    Release,
    in_parts,
)

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

_SHORTEST_POLL, _LONGEST_POLL = 0.002, 0.1
"""Seconds between looks at queues in several places of a cluster, of which none can be waited for alone."""


class RedisStore(RedisSender):
    """The store, over a link to the server or to a cluster."""

    def __init__(self, link: Link, keys: Keys, patience: float = 5.0) -> None:
        super().__init__(link, keys, replace(CAPABILITIES, atomic_put=not link.split), patience)
        self._bell = Bell()

    def open(self) -> None:
        try:
            self._link.open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._link.close()
        self._bell.close()

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        token, found = random.getrandbits(63), list[Delivery]()
        for queues in self._groups(queue for queue, limit in wants.items() if limit > 0):
            limits = (b"%d" % wants[queue] for queue in queues)
            arguments = [b"%d" % token, micro(lease), *limits]
            try:
                answer = self._link.run(scripts.CLAIM, self._bases(queues), arguments)
            except OperationalError:
                if found:
                    break  # what is leased already is handed on; the next claim will say what is wrong here
                raise
            found += deliveries(answer, queues, token)
        return found

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers: list[bool] = []
        for part in in_parts(outcomes):
            answers += [self._move(part)] if isinstance(part, Move) else self._settle(list(map(_Step.of, part)))
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

    def _move(self, move: Move) -> bool:
        lease, into = move
        if not into:
            return self._settle([_Step(lease, b"done")])[0]
        if self._link.split:
            return self._move_split(move)
        queues = list(dict.fromkeys(queue for queue, _ in into))
        keys = [self._keys.queue(lease.queue), *self._bases(queues), *self._here()]
        arguments = [b"%d" % len(queues), id_text(lease.id), _token(lease), *batches(into, queues)]
        answer = self._link.run(scripts.MOVE, keys, arguments)
        if answer == b"lost":
            return False
        raise_unless_stored(answer, queues)
        return True

    def _move_split(self, move: Move) -> bool:
        """In a cluster: stored in its new place before it leaves the old; once, though two may do it."""
        lease, into = move
        base = self._keys.queue(lease.queue)
        if not self._again(scripts.HOLDS, [base], [id_text(lease.id), _token(lease)]):
            return False
        try:
            self._put_split(into, None, Mover(f"{lease.token}-{lease.id}"))
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


def _token(lease: Lease) -> bytes:
    return str(lease.token).encode()
