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

_FRAME = struct.Struct(">dI")
"""Seconds to live, infinite for none, and the length of the head."""

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
    """What the server says of a job that was reserved. ``age`` and ``ttr`` are seconds; ``reserves`` counts all
    reservations, this one too, and ``kicks`` those that did not count."""

    priority: int
    age: int
    ttr: int
    reserves: int
    kicks: int


_JOB = re.compile(rb"\npri: (\d+)\nage: (\d+)\n.*?ttr: (\d+)\n.*?reserves: (\d+)\n.*?kicks: (\d+)\n", re.DOTALL)


def job_of(stats: bytes) -> Job:
    """By the answer to stats-job. Raises ``ValueError`` for what is none."""
    found = _JOB.search(stats)
    if found is None:
        raise ValueError(f"not what stats-job answers: {stats!r}")
    return _new(Job, map(int, found.groups()))


def seconds(wanted: float) -> int:
    """Whole ones, which is what the protocol has: rounded up, so that nothing comes too early."""
    return min(ceil(wanted), MOST_SECONDS)


def data_of(envelope: Envelope) -> bytes:
    """The body of the job."""
    head = envelope.head.encode("utf-8", "surrogatepass")
    frame = _FRAME.pack(inf if envelope.ttl is None else envelope.ttl, len(head))
    return b"".join((_MAGIC, frame, head, envelope.body))


def put_command(envelope: Envelope, data: bytes, ttr: int) -> bytes:
    return b"put %d %d %d %d\r\n%b\r\n" % (NORMAL - envelope.priority, seconds(envelope.delay), ttr, len(data), data)


def time_to_live(data: bytes) -> float:
    """Seconds; infinite for a job without."""
    opened = _open(data)
    return opened[0] if opened else inf


def delivery_of(job: Job, data: bytes, lease: Lease) -> Delivery:
    """What another program has put comes as it is, as bytes."""
    opened = _open(data)
    ttl, head, body = opened or (inf, _foreign_head(lease.queue), data)
    raw, age, _, reserves, kicks = job
    priority = 0 if raw == NORMAL else min(max(NORMAL - raw, 0), _HIGHEST)
    return _new(Delivery, (lease, head, body, priority, max(reserves - kicks, 1), age >= ttl, float(age)))


def _open(data: bytes) -> tuple[float, str, bytes] | None:
    """Time to live, head and body; None for what is not ours, or damaged."""
    if not data.startswith(_MAGIC) or len(data) < _BEGINNING:
        return None
    ttl, length = _FRAME.unpack_from(data, len(_MAGIC))
    end = _BEGINNING + length
    if end > len(data) or ttl != ttl:
        return None
    try:
        return ttl, data[_BEGINNING:end].decode("utf-8", "surrogatepass"), data[end:]
    except UnicodeDecodeError:
        return None


def _foreign_head(queue: str) -> str:
    return encode_head("", queue, {"content_type": "application/octet-stream", "content_encoding": "binary"})
