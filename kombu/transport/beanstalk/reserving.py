"""Reserving jobs and keeping them: what a connection holds, is renewed, given back, or reserved again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from math import inf
from operator import itemgetter

from kombu.exceptions import ConnectionError
from kombu.transport.beanstalk.held import Held, Ledger
from kombu.transport.beanstalk.jobs import Job, delivery_of, framed, job_of
from kombu.transport.beanstalk.toucher import Toucher
from kombu.transport.beanstalk.vouching import Reserved, quiet_for, vouched
from kombu.transport.beanstalk.wire import Line, Reply, refused
from kombu.transport.virtual.store import Delivery, Lease

_new = tuple.__new__
"""Makes a named tuple without a step in Python: several for every message."""

_RESERVE = b"reserve-with-timeout 0\r\n"
_MOST_AT_ONCE = 256
"""Jobs of one queue that a claim asks for."""

_FIRST = 8
"""How many it asks for where the last claim found fewer than it asked for."""

_MANY = 16
"""Commands for each queue, from which on it is worth two looks at the server to have to ask about fewer jobs."""

_STATS = b"stats\r\n"

_NOBODY_ELSE = (b"TIMED_OUT", b"DEADLINE_SOON")
"""Nothing is ready, in the second case said to somebody who should hurry with another job."""


class Reservations:
    """Of one connection, which nobody else uses meanwhile. ``tube`` names a queue's; ``toucher`` is woken where a job
    has to be touched before its lease is renewed."""

    def __init__(self, line: Line, tube: Callable[[str], bytes], toucher: Toucher) -> None:
        self.held = Ledger()
        self._line = line
        self._tube = tube
        self._toucher = toucher
        self._watching = b"default"
        self._found_all: dict[str, bool] = {}

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        commands, queues = self._commands(wants)
        now = time.monotonic()
        if len(commands) > _MANY * len(wants):
            reserved, jobs = self._many(commands, queues)
        else:
            replies, stats = self._line.chain(commands, ask_about)
            reserved = self._reserved(replies, queues)
            jobs = jobs_of(reserved, stats)
        return self.hold(reserved, jobs, now, lease)

    def _many(self, commands: list[bytes], queues: list[str]) -> tuple[list[Reserved], dict[int, Job]]:
        """The server is asked about those only of which it is not clear that nobody had them before."""
        replies = self._line.stream([_STATS, *commands, _STATS])
        before = next(replies)
        reserved = self._reserved(replies, queues)
        [after] = replies
        uptime = quiet_for(before, after)
        jobs: dict[int, Job] = {}
        if uptime:
            runs = [list(run) for _, run in groupby(reserved, itemgetter(0))]
            jobs = self._ask([each for run in runs for each in (run[0], run[-1])])
            for run in runs:
                jobs |= vouched(run, jobs, uptime)
        return reserved, jobs | self._ask([each for each in reserved if each[1] not in jobs])

    def _ask(self, about: Sequence[Reserved]) -> dict[int, Job]:
        return jobs_of(about, self._line.ask([b"stats-job %d\r\n" % each.id for each in about]))

    def _commands(self, wants: Mapping[str, int]) -> tuple[list[bytes], list[str]]:
        """Commands that reserve, and which queue each is about."""
        commands: list[bytes] = []
        queues: list[str] = []
        for queue, limit in wants.items():
            if limit <= 0:
                continue
            watch = self.watch(self._tube(queue))
            most = _MOST_AT_ONCE if self._found_all.get(queue) else _FIRST
            asked = min(limit, most)
            commands += watch + [_RESERVE] * asked
            queues += [""] * len(watch) + [queue] * asked
        return commands, queues

    def _reserved(self, replies: Iterable[Reply], queues: Sequence[str]) -> list[Reserved]:
        reserved = []
        for queue, reply in zip(queues, replies, strict=False):  # there may be answers to more than these
            if not queue:
                continue
            status, values, data = reply
            if status == b"RESERVED":
                reserved.append(_new(Reserved, (queue, int(values[0]), data, framed(data))))
            elif status not in _NOBODY_ELSE:
                self._line.close()  # so that what was reserved is released
                raise ConnectionError(str(refused(self._line.name, reply, "reserving")))
            self._found_all[queue] = status == b"RESERVED"
        return reserved

    def watch(self, tube: bytes) -> list[bytes]:
        """Commands after which this tube is the only one that jobs are reserved from."""
        if tube == self._watching:
            return []
        before, self._watching = self._watching, tube
        return [b"watch %b\r\n" % tube, b"ignore %b\r\n" % before]

    def hold(self, reserved: Iterable[Reserved], jobs: Mapping[int, Job], now: float, seconds: float) -> list[Delivery]:
        """Deliveries of what was reserved a moment after ``now``."""
        token, ends = random.getrandbits(63), now + seconds
        deliveries, taken = [], []
        for queue, id, data, ours in reserved:
            job = jobs.get(id)
            if job is None:
                continue  # its time to run was over before we looked
            lease = _new(Lease, (queue, id, token))
            priority, _, _, ttr, reserves, _ = job
            taken.append(Held(lease, priority, ttr, reserves, now + ttr, ends))
            deliveries.append(delivery_of(job, data, ours, lease))
        self.held.add(taken)
        if any(held.ttr < seconds for held in taken):
            self.touch_if_needed(taken)
        return deliveries

    def ours(self, lease: Lease, now: float | None = None) -> Held | None:
        """What we hold by this lease, reserved again if need be."""
        held = self.held.find(lease)
        if held is None or (now or time.monotonic()) < held.runs_out or self._take_back(held):
            return held
        self.held.drop(held)
        return None

    def _take_back(self, held: Held) -> bool:
        """Reserve again a job whose time was over, unless somebody else has had it since."""
        look = b"stats-job %d\r\n" % held.id
        now = time.monotonic()
        before = _job(self._line.ask([look])[0])
        if before is None or before[1] != held.reserves:
            return False
        if before[0] != b"reserved":
            reply, after = self._line.ask([b"reserve-job %d\r\n" % held.id, look])
            found = _job(after)
            if reply.status != b"RESERVED" or found is None:
                return False
            if found[1] != held.reserves + 1:
                self._line.ask(release_uncounted(held))
                return False
            held.reserves, held.runs_out = found[1], now + held.ttr
        return True

    def give_back_ended(self) -> None:
        """The server keeps a job for its time to run, and the lease may be shorter."""
        ended = self.held.ended(time.monotonic())
        if ended:
            self._line.ask([b"release %d %d 0\r\n" % (held.id, held.priority) for held in ended])
        for held in ended:
            held.runs_out = -inf

    def touch_if_needed(self, held: Iterable[Held]) -> None:
        if any(each.touch_at < inf for each in held):
            self._toucher.wake()

    def touch_due(self) -> float | None:
        """Touch what is due. Seconds until the next; None when there is nothing left to touch."""
        now = time.monotonic()
        due = self.held.to_touch(now)
        replies = self._line.ask([b"touch %d\r\n" % held.id for held in due])
        for held, reply in zip(due, replies, strict=True):
            held.runs_out = now + held.ttr if reply.status == b"TOUCHED" else -inf
            if reply.status != b"TOUCHED":
                held.ends = -inf
        following = self.held.next_touch()
        return None if following == inf else max(following - time.monotonic(), 0.0)


def ask_about(reply: Reply) -> bytes | None:
    return b"stats-job %b\r\n" % reply.values[0] if reply.status == b"RESERVED" else None


def jobs_of(reserved: Sequence[Reserved], stats: Sequence[Reply]) -> dict[int, Job]:
    """By their numbers, by the answers to stats-job; without those that are gone."""
    found = zip(reserved, stats, strict=True)
    return {each.id: job_of(reply.body) for each, reply in found if reply.status == b"OK"}


def _job(reply: Reply) -> tuple[bytes, int] | None:
    """State, and how often it was reserved."""
    if reply.status != b"OK":
        return None
    figures = reply.figures()
    return figures[b"state"], int(figures[b"reserves"])


def release_uncounted(held: Held) -> list[bytes]:
    return [b"release %d %d 1\r\n" % (held.id, held.priority), b"kick-job %d\r\n" % held.id]
