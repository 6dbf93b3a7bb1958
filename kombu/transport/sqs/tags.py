"""A text as tags of a queue: the topology lives in some of them. AWS has 50 tags a queue, of 256 characters each.

The text is compressed and cut into pieces. One more tag, the label, says how many there are and what they add up to, so
that a reader sees when it met a writer half way.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

from kombu.exceptions import InconsistencyError, PreconditionFailed

LABEL = "kombu.topology"
_FORMAT = "1"
_PIECE = 256
_MOST_PIECES = 44


class Torn(Exception):
    """The pieces do not belong together: read again."""


def to_tags(text: str) -> dict[str, str]:
    """All at once replace what was there. Raises :class:`PreconditionFailed` for a text that is too long."""
    packed = zlib.compress(text.encode(), level=9)
    letters = urlsafe_b64encode(packed).decode()
    pieces = [letters[at : at + _PIECE] for at in range(0, len(letters), _PIECE)]
    if len(pieces) > _MOST_PIECES:
        raise PreconditionFailed(
            f"transport 'sqs': the tags of one queue have no room for so many exchanges, queues and bindings"
            f" ({len(letters)} characters compressed, {_MOST_PIECES * _PIECE} at most): divide by queue_name_prefix"
        )
    label = "/".join((_FORMAT, str(len(pieces)), str(zlib.crc32(packed))))
    return {LABEL: label, **{f"{LABEL}.{place}": piece for place, piece in enumerate(pieces)}}


def from_tags(tags: Mapping[str, str]) -> str:
    """The text in them; empty where there is none. Raises :class:`Torn`."""
    label = tags.get(LABEL)
    if label is None:
        return ""
    kind, *said = label.split("/")
    if kind != _FORMAT:
        raise InconsistencyError(
            f"transport 'sqs': its topology has format {kind!r}, and this release of Kombu reads format {_FORMAT}"
        )
    try:
        count, checksum = map(int, said)
        packed = urlsafe_b64decode("".join(tags[f"{LABEL}.{place}"] for place in range(count)))
        if zlib.crc32(packed) != checksum:
            raise Torn
        return zlib.decompress(packed).decode()
    except (KeyError, ValueError, zlib.error) as exc:
        raise Torn from exc
