"""Storing messages: written where nobody looks, and there for everybody with one rename."""

from __future__ import annotations

import logging
import os
import random
import shutil
from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from kombu.exceptions import PublishUncertain
from kombu.transport.filesystem.contents import sync_folder, write_file, written
from kombu.transport.filesystem.errors import explained
from kombu.transport.filesystem.folders import move
from kombu.transport.filesystem.line import Found, Line
from kombu.transport.filesystem.names import Name
from kombu.transport.filesystem.users import Users
from kombu.transport.virtual.store import Envelope, Lease, Move, QueueFull, TopologyMoved

logger = logging.getLogger(__name__)

Items = Sequence[tuple[str, Envelope]]


class Putting(Users, ABC):
    """The part of the store that stores. A batch is stored as a whole, by renaming the folder that it is in."""

    def __init__(self, path: str, sync: bool, patience: float) -> None:
        super().__init__(path, sync, patience)
        self._known: dict[Lease, Name] = {}

    def put(self, items: Items, version: int | None = None) -> None:
        """Raises :class:`PublishUncertain` when the disk fails while the message is written through to it."""
        with explained(self.path):
            self._put(items, version)

    def move(self, move: Move) -> bool:
        """Stored in the new place before it is removed from the old, while nobody else can look at either."""
        return self._put(move.into, None, move.lease)

    def locate(self, line: Line | None, lease: Lease) -> Found | None:
        """The message, as long as this is its latest lease."""
        return None if line is None else line.locate(lease, self._known.pop(lease, None))

    def _put(self, items: Items, version: int | None, moved: Lease | None = None) -> bool:
        """False when ``moved`` is lost, and nothing is stored then."""
        queues = list(dict.fromkeys(queue for queue, _ in items))
        self.check_topology(version, queues)
        if not items:
            return True
        with ExitStack() as stack:
            staged = self.staged()
            stack.callback(_discard, staged)
            files = self._stage(staged, [envelope for _, envelope in items])
            lines = stack.enter_context(self.lines(queues if moved is None else [*queues, moved.queue]))
            self.check_topology(version, queues)
            found = None if moved is None else self.locate(lines.get(moved.queue), moved)
            if moved is not None and found is None:
                return False
            into = {queue: lines[queue] for queue in queues if queue in lines}
            self._check_room(into, items)
            self._commit(staged, files, items, into)
            if moved is not None and found is not None:
                lines[moved.queue].remove(found)
        return True

    def _stage(self, staged: str, envelopes: Sequence[Envelope]) -> list[str]:
        """One file, or a folder of several."""
        now = self.now()
        if len(envelopes) == 1:
            write_file(staged, written(envelopes[0], now), self.sync)
            return [staged]
        os.mkdir(staged)
        files = [f"{staged}/{number}" for number in range(len(envelopes))]
        for file, envelope in zip(files, envelopes, strict=True):
            write_file(file, written(envelope, now), self.sync)
        return files

    def _check_room(self, lines: Mapping[str, Line], items: Items) -> None:
        specs = self.topology().queues
        for queue, line in lines.items():
            spec = specs.get(queue)
            if spec is not None and spec.refuses_when_full:
                new = [envelope for name, envelope in items if name == queue]
                if not line.has_room(spec, new):
                    raise QueueFull(queue)

    def _commit(self, staged: str, files: Sequence[str], items: Items, lines: Mapping[str, Line]) -> None:
        """That of the file into its queue is the rename that counts, or that of the whole batch into ``commits``."""
        if not all(queue in lines for queue, _ in items):
            raise TopologyMoved
        salt = random.getrandbits(32)
        if len(items) == 1:
            [(queue, envelope)] = items
            [name] = lines[queue].reserve([envelope], salt)
            self._store_one(lines[queue], files[0], name)
            return
        for queue, line in lines.items():
            mine = [(file, envelope) for file, (name, envelope) in zip(files, items, strict=True) if name == queue]
            folder = f"{staged}/{os.path.basename(line.folders.path)}"
            names = line.reserve([envelope for _, envelope in mine], salt)
            for (file, _), name in zip(mine, names, strict=True):
                move(file, folder, name)
            if self.sync:
                sync_folder(folder)
        if self.sync:
            sync_folder(staged)
        self._store_batch(staged, lines)

    def _store_one(self, line: Line, file: str, name: Name) -> None:
        folder = line.add(file, name)
        if self.sync:
            try:
                sync_folder(folder)
            except OSError as exc:
                raise PublishUncertain(f"spool {self.path}: {exc}; the message may have been stored, or not") from exc

    def _store_batch(self, staged: str, lines: Mapping[str, Line]) -> None:
        committed = f"{self.path}/commits/{os.path.basename(staged)}"
        os.rename(staged, committed)
        try:
            if self.sync:
                sync_folder(f"{self.path}/commits")
        except OSError as exc:
            raise PublishUncertain(f"spool {self.path}: {exc}; the batch may have been stored, or not") from exc
        try:
            for line in lines.values():
                self.take_in(line)
        except OSError as exc:
            logger.warning("spool %s: a batch is stored, and stays in %s for now: %s", self.path, committed, exc)


def _discard(staged: str) -> None:
    """What was not stored."""
    with suppress(FileNotFoundError):
        shutil.rmtree(staged) if os.path.isdir(staged) else os.unlink(staged)
