"""Random identifiers for messages, consumers and tickets."""

from __future__ import annotations

import os

__all__ = ["uuid"]

_BATCH = 128


def uuid() -> str:
    """A random UUID (RFC 9562, version 4) as text. Every publish asks for one, so they are made many at a time."""
    try:
        return _ready.pop()
    except IndexError:
        made = _made()
        mine = made.pop()
        _ready.extend(made)
        return mine


def _made() -> list[str]:
    """A whole batch from one read of the system's randomness; each call handles one group of all of them."""
    random = os.urandom(16 * _BATCH)
    firsts = random[: 4 * _BATCH].hex("-", 4).split("-")
    seconds = random[4 * _BATCH : 6 * _BATCH].hex("-", 2).split("-")
    thirds = _with_bits(random[6 * _BATCH : 8 * _BATCH], b"\x0f\xff", b"\x40\x00").hex("-", 2).split("-")
    fourths = _with_bits(random[8 * _BATCH : 10 * _BATCH], b"\x3f\xff", b"\x80\x00").hex("-", 2).split("-")
    fifths = random[10 * _BATCH :].hex("-", 6).split("-")
    return list(map("-".join, zip(firsts, seconds, thirds, fourths, fifths, strict=True)))


def _with_bits(random: bytes, kept: bytes, added: bytes) -> bytes:
    """Version and variant (RFC 9562, sections 4.1 and 4.2): two bytes of each, all masked as one integer."""
    number = int.from_bytes(random) & int.from_bytes(kept * _BATCH) | int.from_bytes(added * _BATCH)
    return number.to_bytes(2 * _BATCH)


_ready: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)
