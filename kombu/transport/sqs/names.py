"""Queue names of AMQP as AWS takes them, and back: 80 letters, digits, ``-`` and ``_``, perhaps ``.fifo`` behind.

A name that AWS takes stays as it is. Any other gets what is readable of it and a hash, so that two names never meet;
the queue carries the real one in its tags.
"""

from __future__ import annotations

import re
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

FIFO = ".fifo"
MOST = 80
"""Characters, ``.fifo`` among them."""

TOPOLOGY = "kombu-topology"
"""The queue of this name, behind the prefix, carries exchanges, queues and bindings."""

TAG = "kombu.queue"
"""The tag with a queue's real name; encoded names are in ``kombu.queue.0`` and so on."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")
_REFUSED = re.compile(r"[^A-Za-z0-9_-]+")
_MAPPED = re.compile(r".*-k[a-z2-7]{26}\Z")
_IN_A_TAG = re.compile(r"(?!aws:)[A-Za-z0-9 _.:/=+@-]{1,256}\Z")
_CHUNK = 256
_HASH = 26


def is_fifo(name: str) -> bool:
    """Whether AWS keeps the order of this queue, real name or mapped one or URL."""
    return name.endswith(FIFO)


def mapped(name: str, prefix: str = "") -> str:
    """What AWS calls the queue ``name``. Different names, different answers."""
    ending = FIFO if is_fifo(name) else ""
    wanted = prefix + name.removesuffix(FIFO)
    room = MOST - len(ending)
    inner = wanted.removeprefix(prefix)
    if inner and len(wanted) <= room and _PLAIN.match(wanted) and not _MAPPED.match(wanted) and inner != TOPOLOGY:
        return wanted + ending
    digest = b32encode(sha256(name.encode()).digest()).decode().lower()[:_HASH]
    readable = _REFUSED.sub("-", wanted)[: room - _HASH - 2]
    return f"{readable}-k{digest}{ending}"


def name_tags(name: str) -> dict[str, str]:
    """The tags that tell the real name; AWS takes few characters in them."""
    if _IN_A_TAG.match(name):
        return {TAG: name}
    text = urlsafe_b64encode(name.encode()).decode()
    return {f"{TAG}.{at // _CHUNK}": text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)}


def real_name(tags: Mapping[str, str]) -> str | None:
    """The name in these tags; None for a queue that was not made here."""
    if TAG in tags:
        return tags[TAG]
    chunks: list[str] = []
    while (key := f"{TAG}.{len(chunks)}") in tags:
        chunks.append(tags[key])
    try:
        return urlsafe_b64decode("".join(chunks)).decode() if chunks else None
    except ValueError:
        return None
