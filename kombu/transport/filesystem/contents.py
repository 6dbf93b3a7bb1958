"""What stands in a message's file: a line that people can read, the head, and the body as it is.

The line tells how long both are, so a file of which a part is missing is known for that.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from kombu.transport.virtual.store import Envelope

_MAGIC = b"kombu-message"
_VERSION = b"1"
_PARTS = 5
_LINE = 100
"""Bytes that the first line has at most."""


class Content(NamedTuple):
    """``stored`` is when, in microseconds since 1970."""

    stored: int
    head: str
    body: bytes


class Torn(Exception):
    """A part of the file is missing: it was being written when the machine stopped."""


def written(envelope: Envelope, stored: int) -> bytes:
    head = envelope.head.encode(errors="surrogatepass")
    line = b"%b %b %d %d %d\n" % (_MAGIC, _VERSION, stored, len(head), len(envelope.body))
    return b"".join((line, head, b"\n", envelope.body, b"\n"))


def read_content(data: bytes) -> Content:
    """Raises :class:`Torn`. A file that others have put there is a body without a head."""
    line, _, rest = data.partition(b"\n")
    parts = line.split(b" ")
    if not data or not (line.startswith(_MAGIC) or _MAGIC.startswith(line)):
        if data.strip(b"\0"):
            return Content(0, "", data)
        raise Torn
    try:
        _, version, stored, head, body = parts
        sizes = int(head), int(body)
        at = int(stored)
    except ValueError:
        raise Torn from None
    if version != _VERSION or len(rest) != sum(sizes) + 2:
        raise Torn
    return Content(at, rest[: sizes[0]].decode(errors="surrogatepass"), rest[sizes[0] + 1 : -1])


def stored_at(path: str) -> int | None:
    """When the message in this file was stored; None where it does not say so."""
    file = os.open(path, os.O_RDONLY)
    try:
        parts = os.read(file, _LINE).partition(b"\n")[0].split(b" ")
    finally:
        os.close(file)
    return int(parts[2]) if len(parts) == _PARTS and parts[0] == _MAGIC and parts[2].isdigit() else None


def write_file(path: str, data: bytes, sync: bool) -> None:
    """A new file, on the disk when this returns where ``sync`` asks for that."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        if sync:
            os.fsync(file)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(file)


def read_file(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        data = os.read(file, size + 1)
        while len(data) < size and (more := os.read(file, size - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def sync_folder(path: str) -> None:
    """What was renamed in this folder, or into it, is on the disk when this returns."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
