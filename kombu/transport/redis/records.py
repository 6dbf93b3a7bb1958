"""Messages as bytes, and what scripts answer as deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import inf
from struct import Struct
from typing import Any

from kombu.transport.virtual.store import Delivery, Envelope, Lease

_FORMAT = 1
_HEADER = Struct("<BBdI")
"""Format, priority, seconds to live, bytes of the head: ``scripts.lua`` knows where the last one stands."""

_new = tuple.__new__
"""Makes a named tuple without a step in Python: two for every message."""


def packed(envelope: Envelope) -> bytes:
    """A message without what the server knows: its id, from which its age follows, and its deliveries."""
    head, body, priority, _, ttl = envelope
    text = head.encode("utf-8", "surrogatepass")
    return b"%b%b%b" % (_HEADER.pack(_FORMAT, priority, inf if ttl is None else ttl, len(text)), text, body)


def unpacked(packed: bytes) -> tuple[str, bytes, int, float]:
    """Head, body, priority, seconds to live. What is none of ours is a body without a head."""
    if len(packed) >= _HEADER.size and packed[0] == _FORMAT:
        _, priority, ttl, size = _HEADER.unpack_from(packed)
        end = _HEADER.size + size
        if end <= len(packed):
            try:
                return packed[_HEADER.size : end].decode("utf-8", "surrogatepass"), packed[end:], priority, ttl
            except UnicodeDecodeError:
                pass
    return "", packed, 0, inf


def deliveries(answer: Sequence[Any], queues: Sequence[str], token: int, expired: bool = False) -> list[Delivery]:
    """What a script that takes answers: the time, "queue id deliveries" of all messages, and each one packed.

    ``expired`` says that all are.
    """
    now, told = int(answer[0]), answer[1].split()
    found = []
    for number, text, count, message in zip(told[::3], told[1::3], told[2::3], islice(answer, 2, None), strict=True):
        head, body, priority, ttl = unpacked(message)
        id = int(text) if text.isdigit() else bytes.fromhex(text[1:].decode()).decode("utf-8", "surrogateescape")
        age = max(now - id, 0) / 1e6 if type(id) is int else 0.0
        lease = _new(Lease, (queues[int(number) - 1], id, token))
        found.append(_new(Delivery, (lease, head, body, priority, int(count), expired or ttl <= age, age)))
    return found


def id_text(id: int | str) -> bytes:
    """An id as a key's part. Text is one that another program has chosen."""
    return b"%016d" % id if isinstance(id, int) else id.encode("utf-8", "surrogateescape")


def micro(seconds: float) -> bytes:
    """Whole microseconds."""
    return b"%d" % round(seconds * 1e6)
