"""The folders of one queue, and which of them a message is in: no folder holds more than some hundred files that
a claim would have to look through.

``ready/<priority>/<place, upper part>/<place, middle part>/`` in the order of delivery; ``later/`` by the time that
it is due, a quarter of a second in each folder; ``leased/`` all together, as few are; ``mortal/`` has an empty file for
each message with a time to live, by the time that this is over. ``damaged/`` is for people.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from kombu.transport.filesystem.contents import sync_folder
from kombu.transport.filesystem.names import Name, mortal_name, read_mortal, read_name

logger = logging.getLogger(__name__)

_BUCKET = 9
"""Bits of a place: so many messages are in one folder, and so many of these in another."""
_HIGHEST = 255


class Folders:
    """Of the queue at ``path``. Whoever changes something holds the queue's lock."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = f"{path}/lock"
        self.users = f"{path}/users"
        self.pause = f"{path}/paused"
        self.leased = f"{path}/leased"
        self.damaged = f"{path}/damaged"
        self._ready = f"{path}/ready"
        self._later = f"{path}/later"
        self._mortal = f"{path}/mortal"

    def make(self) -> None:
        for folder in (self._ready, self._later, self.leased, self._mortal):
            os.makedirs(folder, exist_ok=True)

    @property
    def paused(self) -> bool:
        return os.path.exists(self.pause)

    def of(self, name: Name) -> str:
        """Where a message of this name belongs, while it is not leased."""
        return self._slot(self._later, name.at, 18, 30) if name.at else self.bucket(name.priority, name.place)

    def bucket(self, priority: int, place: int) -> str:
        """Where the ready ones are whose places are close to this."""
        outer, inner = place >> 2 * _BUCKET, place >> _BUCKET & (1 << _BUCKET) - 1
        return f"{self._ready}/{_HIGHEST - priority:02x}/{outer:012x}/{inner:03x}"

    def mortal(self, name: Name) -> str:
        """The empty file that says when its time to live is over."""
        return f"{self._slot(self._mortal, name.expires, 22, 34)}/{mortal_name(name)}"

    def ready(self, next_place: int | None = None) -> Iterator[tuple[str, Name]]:
        """The ready messages in the order of delivery, with their files.

        Whoever has the lock tells the next free place: empty folders but that of this place are removed on the way.
        """
        if next_place is None:
            return messages(self._ready)
        return messages(self._ready, self.bucket(0, next_place)[-_TAIL:])

    def later(self) -> Iterator[tuple[str, Name]]:
        """The delayed messages, the first due first."""
        return messages(self._later)

    def held(self) -> Iterator[tuple[str, Name]]:
        """The leased ones, the first to end first."""
        return in_folder(self.leased)

    def everywhere(self) -> Iterator[tuple[str, Name]]:
        """All messages."""
        yield from self.ready()
        yield from self.later()
        yield from self.held()

    def expired(self, now: int) -> Iterator[tuple[str, int, str]]:
        """The empty files of messages whose time to live is over, with that time and the message's id; then the first
        of those that are not over yet."""
        for outer in listed(self._mortal):
            for inner in listed(f"{self._mortal}/{outer}"):
                folder = f"{self._mortal}/{outer}/{inner}"
                names = listed(folder)
                for text in names:
                    if (found := read_mortal(text)) is None:
                        _report(f"{folder}/{text}")
                        continue
                    at, id = found
                    yield f"{folder}/{text}", at, id
                    if at > now:
                        return
                if not names:
                    prune(folder, self._mortal)

    def _slot(self, folder: str, at: int, inner: int, outer: int) -> str:
        width = (outer - inner + 3) // 4
        return f"{folder}/{at >> outer:010x}/{at >> inner & (1 << outer - inner) - 1:0{width}x}"


def listed(folder: str) -> list[str]:
    """What is in it, sorted; nothing where there is no such folder."""
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        _report(folder)
        return []
    found.sort()
    return found


def in_folder(folder: str) -> Iterator[tuple[str, Name]]:
    """The messages in it. Other files are left alone, and reported."""
    for text in listed(folder):
        name = read_name(text)
        if name is None:
            _report(f"{folder}/{text}")
        else:
            yield f"{folder}/{text}", name


def messages(folder: str, tail: str | None = None) -> Iterator[tuple[str, Name]]:
    """Those in its folders' folders, sorted. Given a ``tail``, empty folders that do not end so are removed."""
    for outer in listed(folder):
        for inner in listed(f"{folder}/{outer}"):
            below = f"{folder}/{outer}/{inner}"
            buckets = [f"{below}/{bucket}" for bucket in listed(below)] if len(inner) == _OUTER else [below]
            for bucket in buckets:
                empty = True
                for found in in_folder(bucket):
                    empty = False
                    yield found
                if empty and tail is not None and not bucket.endswith(tail):
                    prune(bucket, folder)


def move(file: str, folder: str, name: Name, sync: bool = False) -> str:
    """Give a message's file this name in this folder, which is made if need be; answers the path."""
    path = f"{folder}/{name}"
    try:
        os.rename(file, path)
    except FileNotFoundError:
        make_folder(folder, sync)
        os.rename(file, path)
    return path


def make_folder(folder: str, sync: bool = False) -> None:
    """With those above it; they are on the disk when this returns, if ``sync``."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folder(os.path.dirname(folder), sync)
        make_folder(folder, sync)
        return
    if sync:
        sync_folder(os.path.dirname(folder))


def prune(folder: str, root: str) -> None:
    """Remove it, and those above it up to ``root``, as far as they are empty."""
    while folder != root:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)


_OUTER = 12
"""Characters of the outer part of a place."""
_TAIL = _OUTER + 4
"""Of both parts."""
_reported: set[str] = set()
_MOST_REPORTED = 1000


def _report(path: str) -> None:
    if path not in _reported and len(_reported) < _MOST_REPORTED:
        _reported.add(path)
        logger.warning("not a message, and left alone: %s", path)
