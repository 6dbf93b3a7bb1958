"""Which jobs nobody has had before: one of them says so for the others, and the server is not asked about each.

A server gives out the jobs of a tube by their priority, and then by their number. While a job is ready, nobody gets one
that was put after it and is not more urgent. So if a job that is ready since it was put has never been reserved but by
us, then neither has any such job that we got after it. Where that might not be so, nobody is vouched for:

- A job has its number when its put begins, and is ready when that ends, which may take time. But a connection puts one
  job after the other: so it was ready when its sender's next job began, and the jobs with higher numbers than that.
- Somebody may have had one, and given it back, between two of our reservations: the server counts what can bring that
  about, and its counts before and after are the same.
- A server that was started again has forgotten reservations: the first job is younger than the server.
- A job that was put again by another program may have another time to run, or another priority, than it says: the first
  and the last one are compared, and all in between are ours.

The age of those in between is that of the first and the last one, where both are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kombu.transport.beanstalk.jobs import Framed, Job
from kombu.transport.beanstalk.wire import Reply

_new = tuple.__new__
"""Makes a named tuple without a step in Python: one for every message."""

_ROUNDED = 2
"""Seconds that the difference of an age and an uptime may be wrong, each of which is in whole ones, at most."""


class Reserved(NamedTuple):
    """A job as it was reserved; ``ours`` is None where another program has put it."""

    queue: str
    id: int
    data: bytes
    ours: Framed | None


def quiet_for(before: Reply, after: Reply) -> int:
    """Seconds that the server runs, if nobody has given a job back between these answers to ``stats``; otherwise 0."""
    earlier, later = before.figures(), after.figures()
    if not _given_back(earlier) or _given_back(earlier) != _given_back(later):
        return 0
    return int(later[b"uptime"])


def _given_back(figures: Mapping[bytes, bytes]) -> list[int]:
    """How often that was done by a connection that ended, by a command, and by the clock; nothing if it is not said."""
    try:
        ended = int(figures[b"total-connections"]) - int(figures[b"current-connections"])
        return [ended, *(int(figures[each]) for each in (b"cmd-release", b"cmd-bury", b"job-timeouts"))]
    except KeyError:
        return []


def vouched(run: Sequence[Reserved], known: Mapping[int, Job], uptime: int) -> dict[int, Job]:
    """What the first of a queue's jobs, in the order they were reserved, vouches for, by what is known of it and of
    the last one."""
    first, last = run[0], run[-1]
    begins = _sure_from(run)
    if not (begins and _as_put(first, known) and _as_put(last, known)):
        return {}
    job = known[first.id]
    priority, age, delay, ttr, *_ = job
    if delay or age != known[last.id].age or age + _ROUNDED > uptime:
        return {}
    return {
        id: job if ours[2] == priority and ours[1] == ttr else _new(Job, (ours[2], age, 0, ours[1], 1, 0))
        for _, id, _, ours in run
        if ours is not None and begins <= id < last.id and ours[2] >= priority
    }


def _sure_from(run: Sequence[Reserved]) -> int:
    """The number of the second job of the first one's sender; 0 if there is none."""
    first = run[0]
    sender = first.ours.sender if first.ours else None
    return min((id for _, id, _, ours in run if ours is not None and ours[3] == sender and id > first.id), default=0)


def _as_put(reserved: Reserved, known: Mapping[int, Job]) -> bool:
    """Whether it is a job of ours which nobody had before, and which nobody has changed."""
    job, ours = known.get(reserved.id), reserved.ours
    return (
        job is not None
        and ours is not None
        and (job.reserves, job.kicks) == (1, 0)
        and (job.priority, job.ttr) == (ours.priority, ours.ttr)
    )
