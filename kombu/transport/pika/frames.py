"""basic.publish and its content as frames (AMQP 0-9-1, sections 2.3.5 and 4.2): all of a message in one go.

pika makes an object for each frame, marshals it, and hands it to the socket by itself; for many small messages that is
most of the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from kombu.transport.base import Publication
from kombu.transport.native.checks import wire_name
from kombu.transport.native.tables import short_string

__all__ = ["HEADER", "PIECE", "pieces"]

PIECE = 1 << 16
"""Bytes that are handed to the socket at a time, about: what it does not take at once is copied each time."""

_METHOD = Struct(">BHIHHH")
_HEADER = Struct(">BHIHHQ")
_BODY = Struct(">BHI")
HEADER = 12
"""Bytes of a header frame's payload before the properties."""
_BASIC, _PUBLISH = 60, 40
_END = b"\xce"
_OVERHEAD = 8
"""Bytes of a frame around its payload."""


def pieces(
    channel: int, publications: Sequence[Publication], properties: Sequence[bytes], frame_max: int
) -> Iterator[bytes]:
    """All frames, in order. ``properties`` as they stand in the header frames, one for each."""
    parts: list[bytes] = []
    size = 0
    for publication, raw in zip(publications, properties, strict=True):
        for part in _frames(channel, publication, raw, frame_max - _OVERHEAD):
            parts.append(part)
            size += len(part)
        if size >= PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


def _frames(channel: int, publication: Publication, raw: bytes, most: int) -> Iterator[bytes]:
    (body, _), exchange, routing_key, mandatory, _ = publication
    key = routing_key if exchange else wire_name(routing_key)  # the default exchange's keys are names of queues
    where = short_string(wire_name(exchange), "an exchange's name") + short_string(key, "a routing key")
    yield _METHOD.pack(1, channel, len(where) + 7, _BASIC, _PUBLISH, 0)
    yield where
    yield b"\x01\xce" if mandatory else b"\x00\xce"
    yield _HEADER.pack(2, channel, len(raw) + HEADER, _BASIC, 0, len(body))
    yield raw
    yield _END
    for at in range(0, len(body), most):
        part = body[at : at + most]
        yield _BODY.pack(3, channel, len(part))
        yield part
        yield _END
