"""Removing what is in a tube and not reserved."""

from __future__ import annotations

from kombu.transport.beanstalk.wire import Line

_AT_ONCE = 100


def empty(line: Line, tube: bytes) -> int:
    """Of a tube that ``line`` watches, and no other: how many jobs those were."""
    [stats] = line.ask([b"stats-tube %b\r\n" % tube])
    if stats.status != b"OK":
        return 0  # nobody uses it, and there is nothing in it
    figures = stats.figures()
    removed = _remove_ready(line, int(figures[b"current-jobs-ready"]))
    for state in (b"delayed", b"buried"):
        removed += _remove_one_by_one(line, tube, state, int(figures[b"current-jobs-%b" % state]))
    return removed


def _remove_ready(line: Line, count: int) -> int:
    removed = 0
    while removed < count:
        asked = min(_AT_ONCE, count - removed)
        replies = line.ask([b"reserve-with-timeout 0\r\n"] * asked)
        ids = [reply.values[0] for reply in replies if reply.status == b"RESERVED"]
        line.ask([b"delete %b\r\n" % id for id in ids])
        removed += len(ids)
        if len(ids) < asked:
            break
    return removed


def _remove_one_by_one(line: Line, tube: bytes, state: bytes, count: int) -> int:
    """What cannot be reserved can only be looked at, the next one at a time."""
    removed = 0
    for _ in range(count):
        _, reply = line.ask([b"use %b\r\n" % tube, b"peek-%b\r\n" % state])
        if reply.status != b"FOUND":
            break
        [gone] = line.ask([b"delete %b\r\n" % reply.values[0]])
        removed += gone.status == b"DELETED"
    return removed
