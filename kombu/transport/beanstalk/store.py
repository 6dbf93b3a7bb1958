"""The store: queues are tubes, messages are jobs, and a lease is a reservation by this connection."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf

from kombu.exceptions import ConnectionError, PreconditionFailed, PublishUncertain
from kombu.transport.beanstalk.document import Revision, TubeDocument
from kombu.transport.beanstalk.emptying import empty
from kombu.transport.beanstalk.held import Held
from kombu.transport.beanstalk.jobs import (
    MOST_SECONDS,
    OVERHEAD,
    data_of,
    framed,
    put_command,
    seconds,
)
from kombu.transport.beanstalk.names import prefix_of, tube_of
from kombu.transport.beanstalk.polling import Poll
from kombu.transport.beanstalk.reserving import Reservations, ask_about, jobs_of, release_uncounted
from kombu.transport.beanstalk.toucher import Toucher
from kombu.transport.beanstalk.vouching import Reserved
from kombu.transport.beanstalk.wire import Line, Reply, refused
from kombu.transport.virtual.deadline import Turns
from kombu.transport.virtual.document import DocumentTopology, read_topology
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    Move,
    Outcome,
    Release,
    TopologyMoved,
    in_parts,
)
from kombu.transport.virtual.topology import Topology

logger = logging.getLogger(__name__)

CAPABILITIES = Capabilities(
    name="beanstalk",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
        }
    ),
    max_batch=256,
    max_delay=float(MOST_SECONDS),
    atomic_put=False,
)

_SWEPT = 20
"""Queues whose first message a sweep looks at."""

_SETTLED = frozenset((b"DELETED", b"RELEASED", b"KICKED", b"NOT_FOUND"))


class BeanstalkStore(DocumentTopology[Revision]):
    """A handle on the queues of one virtual host of a server; all its reservations end with its connection.

    A delivery counts by being a reservation, which the server counts for each job. What is not to count is released
    for a second and kicked: the server counts kicks, too, so that the difference is the delivery count. Were it to be
    interrupted in between, the job would be ready after that second.
    """

    def __init__(
        self,
        host: str,
        port: int,
        virtual_host: str | None = None,
        *,
        lease: float = 60.0,
        connect_timeout: float = 5.0,
        timeout: float = 10.0,
        bury: bool = False,
    ) -> None:
        self._connect = partial(Line, host, port, connect_timeout, timeout)
        self._prefix = prefix_of(virtual_host)
        self._ttr = max(seconds(lease), 1)
        self._bury = bury
        self._lock = Turns()
        self._capabilities = CAPABILITIES
        self._swept = 0
        self._known: tuple[Revision, Topology] | None = None
        self._poll = Poll()
        self._toucher = Toucher(self._touch)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def open(self) -> None:
        self._line = self._connect()
        self._sender = random.getrandbits(32)
        self._largest = self._line.greet()
        self._capabilities = replace(CAPABILITIES, max_body=max(self._largest - OVERHEAD, 0))
        self._reservations = Reservations(self._line, self._tube, self._toucher)
        self._document = TubeDocument(self._line, self._prefix, self._largest)

    def close(self) -> None:
        self._toucher.stop()
        self._poll.stop()
        with self._lock:
            self._line.close()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        with self._lock:
            self._check(items, version)
            if not items:
                return
            jobs = self._sized(items)
            try:
                self._store(jobs)
            except ConnectionError as exc:
                if exc.uncertain:
                    raise PublishUncertain(f"{exc}; whether the messages were stored nobody knows") from exc
                raise

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self._lock:
            self._reservations.give_back_ended()
            return self._reservations.claim(wants, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self._lock:
            answers: list[bool] = []
            for part in in_parts(outcomes):
                answers += [self._move(part)] if isinstance(part, Move) else self._finish(part)
            return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self._lock:
            ours = [self._reservations.ours(lease) for lease in leases]
            asked = [held for held in ours if held is not None]
            now = time.monotonic()
            replies = self._line.ask([b"touch %d\r\n" % held.id for held in asked])
            kept = set()
            for held, reply in zip(asked, replies, strict=True):
                if reply.status == b"TOUCHED":
                    self._reservations.held.renew(held, now, seconds)
                    kept.add(id(held))
                else:
                    self._reservations.held.drop(held)
            self._reservations.touch_if_needed(asked)
            return [lease if id(held) in kept else None for lease, held in zip(leases, ours, strict=True)]

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        tubes = [self._tube(queue) for queue in queues]
        self._poll.until(partial(self._any_ready, tubes), timeout)

    def wake(self) -> None:
        self._poll.stop()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        with self._lock:
            self._reservations.give_back_ended()
            known = self._current().queues
            wanted = [queue for queue in dict.fromkeys(queues) if queue in known]
            replies = self._line.ask([b"stats-tube %b\r\n" % self._tube(queue) for queue in wanted])
            oldest = self._ages(wanted)
            return {queue: _counts(reply, oldest.get(queue)) for queue, reply in zip(wanted, replies, strict=True)}

    def purge(self, queue: str) -> int:
        with self._lock:
            self._reservations.give_back_ended()
            return self._empty(queue)

    def delete(self, queue: str) -> int:
        with self._lock:
            if not self.forget_queue(queue):
                return 0
            held = self._reservations.held.drop_queue(queue)
            replies = self._line.ask([b"delete %d\r\n" % each.id for each in held])
            return self._empty(queue) + sum(reply.status == b"DELETED" for reply in replies)

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        """Looks at the first message of some queues, of others the next time: as with RabbitMQ's classic queues, what
        has expired behind a message that has not is found when its turn comes."""
        with self._lock:
            names = list(self._current().queues)
            start = self._swept % len(names) if names else 0
            self._swept = start + _SWEPT
            swept: list[Delivery] = []
            for queue in (names[start:] + names[:start])[:_SWEPT]:
                while len(swept) < limit and (expired := self._take_expired(queue, lease)):
                    swept += expired
            return swept

    def read_document(self) -> tuple[str, Revision]:
        with self._lock:
            text, revision = self._document.read()
            self._known = revision, read_topology(text, self.capabilities.name)
            return text, revision

    def write_document(self, text: str, version: int, revision: Revision) -> bool:
        with self._lock:
            return self._document.replace(text, revision)

    def _current(self) -> Topology:
        """The topology as it is now; a short question while nothing changes."""
        if self._known is not None and self._document.is_newest(self._known[0]):
            return self._known[1]
        return self.topology()

    def _check(self, items: Iterable[tuple[str, Envelope]], version: int | None = None) -> None:
        topology = self._current()
        if version not in (None, topology.version) or not all(queue in topology.queues for queue, _ in items):
            raise TopologyMoved

    def _tube(self, queue: str) -> bytes:
        return tube_of(self._prefix, queue).encode("ascii")

    def _sized(self, items: Iterable[tuple[str, Envelope]]) -> list[tuple[bytes, bytes]]:
        """Tubes, and what is put there. Raises :class:`PreconditionFailed` for what the server would not take."""
        jobs = []
        for queue, envelope in items:
            data = data_of(envelope, self._ttr, self._sender)
            if len(data) > self._largest:
                raise PreconditionFailed(
                    f"a body of {len(envelope.body)} bytes, {len(data)} with its head: transport 'beanstalk' keeps"
                    f" {self._largest} bytes at most here, which the server's option -z decides"
                )
            jobs.append((self._tube(queue), put_command(envelope, data, self._ttr)))
        return jobs

    def _store(self, jobs: Iterable[tuple[bytes, bytes]]) -> list[int]:
        """Put all of them, or take back those that were put and raise."""
        commands, used = [], b""
        for tube, command in jobs:
            if tube != used:
                commands.append(b"use %b\r\n" % tube)
                used = tube
            commands.append(command)
        replies = [reply for reply in self._line.ask(commands) if reply.status != b"USING"]
        failed = next((reply for reply in replies if reply.status != b"INSERTED"), None)
        if failed is None:
            return [int(reply.values[0]) for reply in replies]
        self._take_away(int(reply.values[0]) for reply in replies if reply.status in (b"INSERTED", b"BURIED"))
        raise refused(self._line.name, failed, "nothing of the batch was stored")

    def _take_away(self, ids: Iterable[int]) -> None:
        self._line.ask([b"delete %d\r\n" % id for id in ids])

    def _finish(self, outcomes: Sequence[Done | Release]) -> list[bool]:
        if not outcomes:
            return []
        queues = self._current().queues if any(type(each) is Release for each in outcomes) else {}
        commands: list[bytes] = []
        firsts: list[int | None] = []
        reservations, now = self._reservations, time.monotonic()
        for outcome in outcomes:
            held = reservations.ours(outcome[0], now)
            if held is None:
                firsts.append(None)
                continue
            firsts.append(len(commands))
            reservations.held.drop(held)
            if isinstance(outcome, Release) and held.lease.queue in queues:
                commands += _release(held, outcome)
            else:
                commands.append(b"delete %d\r\n" % held.id)
        words = self._line.say(commands)
        for word in words:
            if word not in _SETTLED:
                raise refused(self._line.name, Reply(word, [], b""), "a message was not put back")
        return [first is not None and words[first] in (b"DELETED", b"RELEASED") for first in firsts]

    def _move(self, move: Move) -> bool:
        held = self._reservations.ours(move.lease)
        if held is None:
            return False
        if move.into:
            self._check(move.into)
        try:
            stored = self._store(self._sized(move.into)) if move.into else []
        except PreconditionFailed as exc:
            return self._bury_it(held, str(exc))
        if not move.into and self._bury:
            return self._bury_it(held, "it is given up, and there is no place for it")
        self._reservations.held.drop(held)
        [reply] = self._line.ask([b"delete %d\r\n" % held.id])
        if reply.status != b"DELETED":
            self._take_away(stored)
        return reply.status == b"DELETED"

    def _bury_it(self, held: Held, why: str) -> bool:
        """It stays in its tube for people to see, and comes back when they kick it."""
        logger.warning("buried: message %s of queue %r: %s", held.id, held.lease.queue, why)
        self._reservations.held.drop(held)
        [reply] = self._line.ask([b"bury %d %d\r\n" % (held.id, held.priority)])
        return reply.status == b"BURIED"

    def _any_ready(self, tubes: Sequence[bytes]) -> bool:
        with self._lock:
            self._reservations.give_back_ended()
            replies = self._line.ask([b"stats-tube %b\r\n" % tube for tube in tubes])
            return any(reply.status == b"OK" and reply.figures()[b"current-jobs-ready"] != b"0" for reply in replies)

    def _touch(self) -> float | None:
        with self._lock:
            return self._reservations.touch_due()

    def _empty(self, queue: str) -> int:
        tube = self._tube(queue)
        self._line.ask(self._reservations.watch(tube))
        return empty(self._line, tube)

    def _first_ready(self, queues: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Number and data of each queue's next job."""
        commands = [each for q in queues for each in (b"use %b\r\n" % self._tube(q), b"peek-ready\r\n")]
        replies = self._line.ask(commands)[1::2]
        found = zip(queues, replies, strict=True)
        return {queue: (int(reply.values[0]), reply.body) for queue, reply in found if reply.status == b"FOUND"}

    def _ages(self, queues: Sequence[str]) -> dict[str, float]:
        """Seconds that each queue's next job has waited."""
        first = self._first_ready(queues)
        replies = self._line.ask([b"stats-job %d\r\n" % id for id, _ in first.values()])
        found = zip(first, replies, strict=True)
        return {queue: float(reply.figures()[b"age"]) for queue, reply in found if reply.status == b"OK"}

    def _take_expired(self, queue: str, seconds: float) -> list[Delivery]:
        """The queue's next message, if its time to live is over."""
        for id, data in self._first_ready([queue]).values():
            ours = framed(data)
            if ours is None or ours.ttl == inf:
                return []
            [stats] = self._line.ask([b"stats-job %d\r\n" % id])
            if stats.status != b"OK" or int(stats.figures()[b"age"]) < ours.ttl:
                return []
            now = time.monotonic()
            [reply], stats_of_it = self._line.chain([b"reserve-job %d\r\n" % id], ask_about)
            if reply.status == b"RESERVED":
                reserved = [Reserved(queue, id, data, ours)]
                return self._reservations.hold(reserved, jobs_of(reserved, stats_of_it), now, seconds)
        return []


def _release(held: Held, outcome: Release) -> list[bytes]:
    if not outcome.counted and not outcome.delay:
        return release_uncounted(held)
    return [b"release %d %d %d\r\n" % (held.id, held.priority, seconds(outcome.delay))]


def _counts(reply: Reply, oldest: float | None) -> Counts:
    if reply.status != b"OK":
        return Counts()
    figures = reply.figures()
    ready, delayed, leased = (int(figures[b"current-jobs-%b" % each]) for each in (b"ready", b"delayed", b"reserved"))
    return Counts(ready=ready, delayed=delayed, leased=leased, oldest=oldest if ready else None)
