"""The tubes that queues are kept in. A plain name is its own tube, so that other programs reach the queue."""

from __future__ import annotations

import re
from hashlib import sha256

from kombu.exceptions import InvalidURL

TOPOLOGY = "$topology"
"""What no queue's tube is called: an escape is a dollar sign and two hexadecimal digits."""

_LONGEST = 200
"""Bytes, of the protocol."""

_MOST_OF_A_NAME = 120
_LONGEST_PREFIX = 60
_NOT_PLAIN = re.compile(rb"[^A-Za-z0-9+/._()-]|^-")


def prefix_of(virtual_host: str | None) -> str:
    """What the tubes of a virtual host begin with; nothing for that which a URL without one means."""
    name = (virtual_host or "").strip("/")
    if not name:
        return ""
    prefix = f"{_escaped(name)};"
    if len(prefix) > _LONGEST_PREFIX:
        raise InvalidURL(f"beanstalk: the virtual host {name[:40]!r}… is too long for the name of a tube")
    return prefix


def tube_of(prefix: str, queue: str) -> str:
    """Different queues have different tubes. A name that is too long ends with a digest of it."""
    tube = prefix + _escaped(queue)
    if len(tube) <= _LONGEST:
        return tube
    digest = sha256(queue.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return f"{tube[:_MOST_OF_A_NAME]}$-{digest}"


def _escaped(name: str) -> str:
    plain = _NOT_PLAIN.sub(lambda found: b"$%02x" % found[0][0], name.encode("utf-8", "surrogatepass"))
    return plain.decode("ascii")
