"""A message as a job: what its body is, and what the server's figures about it mean."""

from __future__ import annotations

import re
import struct
from math import ceil, inf
from typing import NamedTuple

from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.store import Delivery, Envelope, Lease

_MAGIC = b"\x00kombu\x01"
"""What our jobs begin with, and hardly anybody else's."""

_FRAME = struct.Struct(">dIIII")
"""Seconds to live, infinite for none, seconds to run, priority, sender, and the length of the head."""

_BEGINNING = len(_MAGIC) + _FRAME.size
OVERHEAD = _BEGINNING + 1024
"""Bytes that are left for a head where the body is as large as it may be at most."""

NORMAL = 1 << 16
"""The protocol's most urgent priority is 0; this is AMQP's priority 0, and what most clients put."""

_HIGHEST = 255
_new = tuple.__new__
"""Makes a named tuple without a step in Python: several for every message."""

MOST_SECONDS = (1 << 32) - 1


class Job(NamedTuple):
    """What the server says of a job that was reserved. ``age``, ``delay`` and ``ttr`` are seconds; ``reserves`` counts
    all reservations, this one too, and ``kicks`` those that did not count."""

    priority: int
    age: int
    delay: int
    ttr: int
    reserves: int
    kicks: int


class Framed(NamedTuple):
    """What a job of ours says itself. ``ttl`` and ``ttr`` are seconds; ``sender`` is the connection that put it."""

    ttl: float
    ttr: int
    priority: int
    sender: int
    head: str
    body: bytes


_JOB = re.compile(
    rb"\npri: (\d+)\nage: (-?\d+)\ndelay: (\d+)\nttr: (\d+)\n.*?reserves: (\d+)\n.*?kicks: (\d+)\n", re.DOTALL
)


def job_of(stats: bytes) -> Job:
    """By the answer to stats-job. Raises ``ValueError`` for what is none."""
    found = _JOB.search(stats)
    if found is None:
        raise ValueError(f"not what stats-job answers: {stats!r}")
    return _new(Job, map(int, found.groups()))


def seconds(wanted: float) -> int:
    """Whole ones, which is what the protocol has: rounded up, so that nothing comes too early."""
    return min(ceil(wanted), MOST_SECONDS)


def data_of(envelope: Envelope, ttr: int, sender: int) -> bytes:
    """The body of the job."""
    head = envelope.head.encode("utf-8", "surrogatepass")
    ttl = inf if envelope.ttl is None else envelope.ttl
    frame = _FRAME.pack(ttl, ttr, NORMAL - envelope.priority, sender, len(head))
    return b"".join((_MAGIC, frame, head, envelope.body))


def put_command(envelope: Envelope, data: bytes, ttr: int) -> bytes:
    return b"put %d %d %d %d\r\n%b\r\n" % (NORMAL - envelope.priority, seconds(envelope.delay), ttr, len(data), data)


def framed(data: bytes) -> Framed | None:
    """What is in the body of a job; None for what is not ours, or damaged."""
    if not data.startswith(_MAGIC) or len(data) < _BEGINNING:
        return None
    ttl, ttr, priority, sender, length = _FRAME.unpack_from(data, len(_MAGIC))
    end = _BEGINNING + length
    if end > len(data) or ttl != ttl:
        return None
    try:
        return _new(
            Framed, (ttl, ttr, priority, sender, data[_BEGINNING:end].decode("utf-8", "surrogatepass"), data[end:])
        )
    except UnicodeDecodeError:
        return None


def delivery_of(job: Job, data: bytes, ours: Framed | None, lease: Lease) -> Delivery:
    """What another program has put comes as it is, as bytes."""
    raw, age, _, _, reserves, kicks = job
    priority = 0 if raw == NORMAL else min(max(NORMAL - raw, 0), _HIGHEST)
    if ours is None:
        ttl, head, body = inf, _foreign_head(lease.queue), data
    else:
        ttl, _, _, _, head, body = ours
    count = reserves - kicks
    return _new(Delivery, (lease, head, body, priority, count if count > 0 else 1, age >= ttl, float(max(age, 0))))


def _foreign_head(queue: str) -> str:
    return encode_head("", queue, {"content_type": "application/octet-stream", "content_encoding": "binary"})
