"""Messages into queues: a batch is one script, which may be sent again when its answer is lost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from kombu.exceptions import ConnectionError, KombuError, OperationalError, PublishUncertain
from kombu.transport.redis import scripts
from kombu.transport.redis.browsing import RedisBrowser
from kombu.transport.redis.keys import Keys
from kombu.transport.redis.link import Link
from kombu.transport.redis.records import micro, packed
from kombu.transport.redis.scripts import Script
from kombu.transport.virtual.deadline import seconds_to_wait
from kombu.transport.virtual.store import Capabilities, Envelope, QueueFull, TopologyMoved
from kombu.utils.uuid import uuid

Items = Sequence[tuple[str, Envelope]]

_PAUSE = 0.05
"""Seconds before a batch is sent again whose answer was lost."""


class RedisSender(RedisBrowser):
    """``patience`` is for how many seconds a batch whose answer was lost is sent again, before it is uncertain."""

    def __init__(self, link: Link, keys: Keys, can: Capabilities, patience: float) -> None:
        super().__init__(link, keys, can)
        self._patience = patience
        self._senders: list[Sender] = []
        self._limited: set[str] = set()

    def put(self, items: Items, version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` too: see there. A batch that was sent twice is stored once."""
        if not items:
            if version is not None and self._version() != version:
                raise TopologyMoved
        elif self._link.split:
            self._put_split(items, version)
        else:
            self._put(items, version)

    def _put(self, items: Items, version: int | None) -> None:
        if len(items) == 1 and version is not None and self._put_one(*items[0], version):
            return
        queues = [items[0][0]] if len(items) == 1 else list(dict.fromkeys(queue for queue, _ in items))
        bases = self._bases(queues)
        with_version = b"" if version is None else b"%d" % version
        self._store(queues, [*bases, *self._here()], with_version, batches(items, queues))

    def _put_one(self, queue: str, envelope: Envelope, version: int) -> bool:
        """False where that needs what a batch does, and nothing was done."""
        if envelope.ttl is not None or queue in self._limited:
            return False
        arguments = [b"%d" % version, b"%d" % envelope.priority, micro(envelope.delay), packed(envelope)]
        answer = self._numbered(scripts.PUT_ONE, [self._keys.queue(queue), self._keys.topology], arguments)
        if answer < 0:
            self._limited.add(queue)
            return False
        raise_unless_stored(answer, [queue])
        return True

    def _put_split(self, items: Items, version: int | None, sender: Sender | None = None) -> None:
        """In a cluster: the version is looked at, and the queues too where a batch is for several, before any of it
        is stored. A queue may still go meanwhile; what was stored elsewhere by then will be there twice."""
        queues = {queue: [item for item in items if item[0] == queue] for queue in dict.fromkeys(q for q, _ in items)}
        if version is not None and self._version() != version:
            raise TopologyMoved
        for queue, own in queues.items() if len(queues) > 1 else ():
            size = sum(len(envelope.body) for _, envelope in own)
            arguments = [b"%d" % len(own), b"%d" % size]
            raise_unless_stored(self._again(scripts.ROOM, [self._keys.queue(queue)], arguments), [queue])
        for queue, own in queues.items():
            base = self._keys.queue(queue)
            if any(envelope.ttl is not None for _, envelope in own):
                self._mark(b":mortal", base, b"1")
            self._store([queue], [base], b"", batches(own, [queue]), sender)

    def _store(
        self,
        queues: Sequence[str],
        keys: list[bytes],
        version: bytes,
        parts: list[bytes],
        sender: Sender | None = None,
    ) -> None:
        """Raises what ``put`` does."""
        arguments = [version, b"%d" % len(queues), *parts]
        raise_unless_stored(self._numbered(scripts.PUT, keys, arguments, sender), queues)

    def _numbered(self, script: Script, keys: list[bytes], arguments: list[bytes], sender: Sender | None = None) -> int:
        """What a batch is answered that has a number of its own: with that and its marker before the others."""
        mine = sender or self._free_sender()
        try:
            marker = keys[0] + b":sent:" + mine.name
            return int(self._surely(script, [marker, *keys], [mine.next(), *arguments]))
        finally:
            if sender is None:
                self._senders.append(mine)

    def _free_sender(self) -> Sender:
        try:
            return self._senders.pop()
        except IndexError:
            return Sender(uuid())

    def _surely(self, script: Script, keys: list[bytes], arguments: list[bytes]) -> Any:
        """What a batch is answered, sent again while nobody knows whether the server has carried it out."""
        try:
            return self._link.run(script, keys, arguments, confirm=True)
        except ConnectionError as exc:
            if not exc.uncertain:
                raise
            uncertain = exc
        deadline = time.monotonic() + seconds_to_wait(self._patience)
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


class Sender:
    """Numbers the batches of one thread at a time, so that the server knows one that it has had already."""

    __slots__ = ("_number", "name")

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self._number = 0

    def next(self) -> bytes:
        self._number += 1
        return b"%d" % self._number


class Mover(Sender):
    """Whoever moves the same message is the same, and it is one batch for each queue."""

    __slots__ = ()

    def next(self) -> bytes:
        return b"1"


def batches(items: Items, queues: Sequence[str]) -> list[bytes]:
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


def raise_unless_stored(answer: int, queues: Sequence[str]) -> None:
    """By what a script that stores answers."""
    if answer == 0:
        raise TopologyMoved
    if answer < 0:
        raise QueueFull(queues[-answer - 1])


def _alike(envelope: Envelope) -> tuple[bytes, bytes, bytes]:
    _, _, priority, delay, ttl = envelope
    return b"%d" % priority, micro(delay) if delay else b"0", b"" if ttl is None else micro(ttl)
