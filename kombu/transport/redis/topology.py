"""Exchanges, queues and bindings in Redis, and queues that come and go with them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from kombu.exceptions import ConnectionError
from kombu.transport.redis import scripts
from kombu.transport.redis.keys import Keys
from kombu.transport.redis.link import Link
from kombu.transport.redis.records import micro
from kombu.transport.redis.scripts import Script
from kombu.transport.virtual.document import DocumentTopology, read_topology, written
from kombu.transport.virtual.store import Capabilities, QueueSpec
from kombu.transport.virtual.topology import Topology

T = TypeVar("T")


class Read(NamedTuple):
    """The document as it was read."""

    version: bytes
    text: str


class StillUsed(Exception):
    """A queue was to go only if its life was over, and it is not."""


class RedisTopology(DocumentTopology[Read]):
    """The document is one key, and replaced by a script if its version is still the same; with it the queues are made
    and removed. In a cluster they are elsewhere: made before, and removed after, by steps that can be repeated."""

    def __init__(self, link: Link, keys: Keys, can: Capabilities) -> None:
        self._can = can
        self._link = link
        self._keys = keys
        self._mine = threading.local()

    @property
    def capabilities(self) -> Capabilities:
        return self._can

    def declare(self, queue: QueueSpec) -> None:
        super().declare(queue)
        if self._link.split:  # who declared it may have died before it was there
            self._again(scripts.CREATE, [self._keys.queue(queue.name)], _fields(self.topology().queues[queue.name]))

    def delete(self, queue: str) -> int:
        self._mine.only_over = False
        return int(self._mine.removed) if self.forget_queue(queue) else 0

    def end(self, queue: str) -> bool:
        """Remove a queue if its life is over; whether this is what removed it."""
        self._mine.only_over = True
        try:
            return self.forget_queue(queue)
        except StillUsed:
            return False
        finally:
            self._mine.only_over = False

    def read_document(self) -> tuple[str, Read]:
        version, text = self._retried(lambda: self._link.ask(b"HMGET", *self._document, b"version", b"text"))
        read = Read(version or b"0", (text or b"").decode())
        return read.text or _nothing(int(read.version)), read

    def write_document(self, text: str, version: int, revision: Read) -> bool:
        before = read_topology(revision.text, self.capabilities.name).queues
        topology = read_topology(text, self.capabilities.name)
        after = topology.queues
        if not (topology.queues or topology.exchanges or topology.bindings):
            text = ""
        gone = [self._keys.queue(name) for name in before if name not in after]
        made = [spec for name, spec in after.items() if name not in before]
        if self._link.split:
            return self._write_split(text, version, revision, gone, made)
        return self._write(text, version, revision, gone, made)

    def _write(self, text: str, version: int, revision: Read, gone: Sequence[bytes], made: Sequence[QueueSpec]) -> bool:
        split = self._link.split
        bases = [self._keys.queue(spec.name) for spec in made]
        keys = [self._keys.topology] if split else [self._keys.topology, *gone, *bases]
        arguments = [
            revision.version,
            b"%d" % version,
            text.encode(),
            b"1" if self._only_over and not split else b"0",
            b"%d" % len(gone),
            b"%d" % len(made),
            *gone,
            *bases,
            *(b"" if spec.first_life is None else micro(spec.first_life) for spec in made),
        ]
        if not split:
            arguments += [part for spec in made for part in _fields(spec)]
        answer = self._link.run(scripts.CHANGE, keys, arguments, confirm=True)
        if answer == -2:
            raise StillUsed
        self._mine.removed = answer - 1
        return bool(answer > 0)

    def _write_split(
        self, text: str, version: int, revision: Read, gone: Sequence[bytes], made: Sequence[QueueSpec]
    ) -> bool:
        for spec in made:
            self._again(scripts.CREATE, [self._keys.queue(spec.name)], _fields(spec))
        only_over = b"1" if self._only_over else b"0"
        fading = [(base, self._again(scripts.FADE, [base], [only_over])) for base in gone]
        still_used = any(incarnation == b"-" for _, incarnation in fading)
        written = not still_used and self._write(text, version, revision, gone, made)
        removed = [
            self._again(scripts.BURY, [base], [incarnation, b"1" if written else b"0"])
            for base, incarnation in fading
            if incarnation not in (b"", b"-")
        ]
        if still_used:
            raise StillUsed
        self._mine.removed = sum(removed)
        return written

    @property
    def _document(self) -> tuple[bytes]:
        return (self._keys.topology + b":document",)

    @property
    def _only_over(self) -> bool:
        return bool(getattr(self._mine, "only_over", False))

    def _version(self) -> int:
        return int(self._retried(lambda: self._link.ask(b"HGET", *self._document, b"version")) or 0)

    def _mark(self, which: bytes, base: bytes, at: bytes) -> None:
        """Let a queue be looked at by then, if not before."""
        self._retried(lambda: self._link.ask(b"ZADD", self._keys.topology + which, b"LT", at, base))

    def _groups(self, queues: Iterable[str]) -> Iterator[list[str]]:
        """What one script can reach: all, or in a cluster one queue at a time."""
        names = list(dict.fromkeys(queues))
        if self._link.split:
            yield from ([name] for name in names)
        elif names:
            yield names

    def _bases(self, queues: Iterable[str]) -> list[bytes]:
        return list(map(self._keys.queue, queues))

    def _here(self) -> list[bytes]:
        """The topology's base where a script that is about queues can reach it."""
        return [] if self._link.split else [self._keys.topology]

    def _again(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        """Run what may be run twice."""
        return self._retried(lambda: self._link.run(script, keys, arguments))

    def _retried(self, call: Callable[[], T]) -> T:
        """Once more by another connection, where the first is lost: the server may have been started anew."""
        try:
            return call()
        except ConnectionError:
            return call()


def _nothing(version: int) -> str:
    """The document where nothing is declared (any more)."""
    return written(Topology(version=version))


def _fields(spec: QueueSpec) -> list[bytes]:
    """What scripts know of a queue, with the number of it all before."""
    known: dict[bytes, object] = {
        b"priority": spec.max_priority,
        b"length": spec.max_length,
        b"bytes": spec.max_bytes,
        b"refuses": 1 if spec.refuses_when_full else None,
        b"life": None if spec.unused_life is None else micro(spec.unused_life),
        b"first": None if spec.first_life is None else micro(spec.first_life),
        b"autodelete": 1 if spec.auto_delete else None,
        b"incarnation": random.getrandbits(63),
    }
    parts = [part for name, value in known.items() if value is not None for part in (name, _bytes(value))]
    return [b"%d" % len(parts), *parts]


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
