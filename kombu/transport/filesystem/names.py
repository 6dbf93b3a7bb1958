"""What files and folders of a spool are called: pure functions between names and values.

A queue's folder has the queue's name, with what a file system could take amiss written otherwise. A message's file
name says everything about it that changes, or that is asked of many messages at once, so that a folder's listing is
enough: state changes are renames.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from hashlib import sha256

_PLAIN = frozenset(string.ascii_lowercase + string.digits + "-_.")
_LONGEST = 120
"""Bytes of a folder's name beyond which a digest stands for the rest: file systems have 255, and it is to be read."""

NOBODYS = "0"
"""The token of a message that was not claimed, or was put back."""

_PARTS = 7
_NUMBER = "016x"
NEVER = (1 << 63) - 1
"""The time that never comes, in microseconds since 1970."""


def folder_name(queue: str) -> str:
    """Two queues never have the same, not even where upper and lower case are one, or a file system composes accents.

    Raises nothing: any text is a name.
    """
    written = "".join(map(_written, queue))
    if written.startswith("."):
        written = "%2e" + written[1:]
    if len(written) <= _LONGEST:
        return written
    return f"{written[: _LONGEST - 56]}~{sha256(queue.encode(errors='surrogatepass')).hexdigest()[:55]}"


def _written(character: str) -> str:
    if character in _PLAIN:
        return character
    if "A" <= character <= "Z":
        return "^" + character.lower()
    return "".join(f"%{byte:02x}" for byte in character.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A message's file name. Times are microseconds since 1970, by the machine's clock.

    ``at`` is when it may be claimed: 0 for now; the end of its lease while it is leased. ``place`` is its place in
    line, ``id`` is its own for ever, in the order of storing, with its priority. ``count`` is how often it was claimed,
    ``size`` the bytes of its body, ``expires`` when its time to live is over, ``token`` that of its latest claim.
    """

    id: str
    place: int
    at: int = 0
    count: int = 0
    size: int = 0
    expires: int = NEVER
    token: str = NOBODYS

    def __str__(self) -> str:
        times = f"{self.at:{_NUMBER}}.{self.place:{_NUMBER}}"
        return f"{times}.{self.id}.{self.count:x}.{self.size:x}.{self.expires:x}.{self.token}"

    @property
    def priority(self) -> int:
        return first_place(self.id)[0]

    def free(self, *, counted: bool = True) -> Name:
        """Nobody's, in its place, with or without the latest claim."""
        return replace(self, at=0, token=NOBODYS, count=self.count - (not counted))


def message_id(place: int, priority: int, salt: int) -> str:
    """Sorts in the order of storing. The salt keeps two apart whatever happened to the count of places."""
    return f"{place:{_NUMBER}}{priority:02x}{salt:08x}"


def first_place(id: str) -> tuple[int, int]:
    """Priority and place in line of a message when it was stored. Raises ``ValueError`` for what is no message's id."""
    return int(id[16:18], 16), int(id[:16], 16)


def read_name(text: str) -> Name | None:
    """None for a file that is no message."""
    parts = text.split(".")
    if len(parts) != _PARTS or len(parts[2]) != len(message_id(0, 0, 0)):
        return None
    at, place, id, count, size, expires, token = parts
    try:
        name = Name(
            id=id,
            place=int(place, 16),
            at=int(at, 16),
            count=int(count, 16),
            size=int(size, 16),
            expires=int(expires, 16),
            token=token,
        )
        int(id + token.replace("-", ""), 16)
    except ValueError:
        return None
    return name if str(name) == text else None


def mortal_name(name: Name) -> str:
    """Of the empty file that says when a message's time to live is over."""
    return f"{name.expires:{_NUMBER}}.{name.id}"


def read_mortal(text: str) -> tuple[int, str] | None:
    """That time, and the message's id; None for another file."""
    at, _, id = text.partition(".")
    try:
        when = int(at, 16)
        int(id, 16)
    except ValueError:
        return None
    return (when, id) if text == f"{when:{_NUMBER}}.{id}" and len(id) == len(message_id(0, 0, 0)) else None
