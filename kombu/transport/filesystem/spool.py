"""The folder of a spool: what is in it, its mark, its topology, and its locks.

``kombu-spool.json`` is the mark; ``topology.json`` has exchanges, queues and bindings; ``queues/`` a folder for each
queue; ``staging/`` what is being written; ``commits/`` batches that are stored and not yet in their queues; ``trash/``
what is being removed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

from kombu.exceptions import InvalidURL, OperationalError
from kombu.transport.filesystem.contents import read_file, sync_folder, write_file
from kombu.transport.filesystem.folders import Folders, listed, prune
from kombu.transport.filesystem.line import Line, micro
from kombu.transport.filesystem.locks import check_locks, locked
from kombu.transport.filesystem.names import folder_name
from kombu.transport.filesystem.state import FRESH, write_state
from kombu.transport.virtual.document import DocumentTopology, read_topology
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import Topology

logger = logging.getLogger(__name__)

_MARK = "kombu-spool.json"
_DOCUMENT = "topology.json"
_LOCK = "topology.lock"
_FOLDERS = ("queues", "staging", "commits", "trash")
_BEGINNING = 256
"""Bytes of the document in which its version stands."""
_VERSION = re.compile(rb'"version":\s*(\d+)')
_ABANDONED = 3600.0
"""Seconds after which a file that is still being written is nobody's any more."""


class Spool(DocumentTopology[int], ABC):
    """``path`` is absolute. ``sync``: what is stored is on the disk, whatever happens to the machine. ``patience``:
    seconds that others may hold a lock."""

    def __init__(self, path: str, sync: bool, patience: float) -> None:
        self.path = path
        self.sync = sync
        self.patience = patience
        self._changing = threading.RLock()
        self._changes = 0
        self._topology = Topology()

    def prepare(self) -> None:
        """Make the folder, if need be; raises :class:`InvalidURL` for a folder that is used otherwise."""
        check_locks()
        os.makedirs(self.path, exist_ok=True)
        present = set(os.listdir(self.path))
        if _MARK not in present:
            if strangers := sorted(name for name in present if not name.startswith(_MARK)):
                raise InvalidURL(
                    f"the folder {self.path} is no spool, and not empty ({strangers[0]!r}): name a folder that is empty"
                    " or does not exist"
                )
            self._replace(_MARK, b'{"format": 1, "what": "queues of Kombu\'s filesystem transport"}\n')
        else:
            self._check_format()
        for name in _FOLDERS:
            os.makedirs(f"{self.path}/{name}", exist_ok=True)
        os.close(os.open(f"{self.path}/{_LOCK}", os.O_RDWR | os.O_CREAT, 0o666))
        known = {_MARK, _DOCUMENT, _LOCK, *_FOLDERS}
        if strangers := sorted(name for name in present - known if not name.startswith((_MARK, _DOCUMENT))):
            logger.warning("spool %s: not of a spool, and left alone: %s", self.path, ", ".join(strangers[:10]))
        self._tidy()

    def now(self) -> int:
        """Microseconds since 1970 by the machine's clock."""
        return micro(time.time())

    def folders(self, queue: str) -> Folders:
        return Folders(f"{self.path}/queues/{folder_name(queue)}")

    def topology(self) -> Topology:
        try:
            file = os.open(f"{self.path}/{_DOCUMENT}", os.O_RDONLY)
        except FileNotFoundError:
            return read_topology("", self.capabilities.name)
        try:
            version = _VERSION.search(os.read(file, _BEGINNING))
        finally:
            os.close(file)
        known = self._topology
        if version is not None and known.version and int(version[1]) == known.version:
            return known
        self._topology = read_topology(self.read_document()[0], self.capabilities.name)
        return self._topology

    def read_document(self) -> tuple[str, int]:
        try:
            text = read_file(f"{self.path}/{_DOCUMENT}").decode()
        except FileNotFoundError:
            text = ""
        except UnicodeDecodeError as exc:
            raise OperationalError(f"spool {self.path}: {_DOCUMENT} is damaged: {exc}; restore it") from exc
        return text, read_topology(text, self.capabilities.name).version

    def write_document(self, text: str, version: int, revision: int) -> bool:
        with self.changing():
            if self.read_document()[1] != revision:
                return False
            self._replace(_DOCUMENT, text.encode())
            return True

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes the topology. One block within another is part of that."""
        with self._changing, ExitStack() as outermost:
            if not self._changes:
                outermost.enter_context(locked(f"{self.path}/{_LOCK}", self.patience))
            self._changes += 1
            try:
                yield
            finally:
                self._changes -= 1

    @contextmanager
    def line(self, queue: str) -> Iterator[Line | None]:
        """The queue, locked; None when it does not exist."""
        folders = self.folders(queue)
        with ExitStack() as stack:
            try:
                file = stack.enter_context(locked(folders.lock, self.patience))
            except FileNotFoundError:
                if not self._made_again(queue):
                    yield None
                    return
                file = stack.enter_context(locked(folders.lock, self.patience))
            line = Line(folders, file, self.now(), self.sync)
            self.take_in(line)
            try:
                yield line
            finally:
                line.save()

    @contextmanager
    def lines(self, queues: Sequence[str]) -> Iterator[dict[str, Line]]:
        """Those of the queues that exist, all locked at once."""
        with ExitStack() as stack:
            found = {queue: stack.enter_context(self.line(queue)) for queue in sorted(set(queues))}
            yield {queue: line for queue, line in found.items() if line is not None}

    def take_in(self, line: Line) -> None:
        """Batches that were committed to by somebody who died: while we have the lock nobody else can be at it."""
        queue = os.path.basename(line.folders.path)
        for batch in listed(f"{self.path}/commits"):
            folder = f"{self.path}/commits/{batch}/{queue}"
            if os.path.isdir(folder):
                line.found(folder)
                prune(folder, f"{self.path}/commits")

    def make_queue(self, queue: QueueSpec) -> None:
        """Its folder, complete from the first moment."""
        path = self.staged()
        folders = Folders(path)
        folders.make()
        file = os.open(folders.lock, os.O_RDWR | os.O_CREAT, 0o666)
        write_state(file, FRESH)
        os.close(file)
        self.begin_life(folders, queue)
        if self.sync:
            sync_folder(path)
        try:
            os.rename(path, self.folders(queue.name).path)
        except OSError:
            shutil.rmtree(path)
            if not os.path.exists(self.folders(queue.name).lock):
                raise
        if self.sync:
            sync_folder(f"{self.path}/queues")

    @abstractmethod
    def begin_life(self, folders: Folders, queue: QueueSpec) -> None:
        """Note how long the queue lives if nobody uses it."""

    def throw_away(self, line: Line) -> None:
        """Remove a queue's folder with all that is in it. Whoever waits for its lock sees that it is gone."""
        os.unlink(line.folders.lock)
        os.rename(line.folders.path, f"{self.path}/trash/{uuid4().hex}")

    def throw_away_remains(self, queue: str) -> None:
        """Of a queue that is not declared: somebody died while it was being deleted."""
        with suppress(FileNotFoundError):
            os.rename(self.folders(queue).path, f"{self.path}/trash/{uuid4().hex}")

    def empty_trash(self) -> None:
        for name in listed(f"{self.path}/trash"):
            shutil.rmtree(f"{self.path}/trash/{name}", ignore_errors=True)  # another may be at it

    def staged(self) -> str:
        """A path of our own, for what is being written."""
        return f"{self.path}/staging/{uuid4().hex}"

    def _made_again(self, queue: str) -> bool:
        """A queue that is declared and has no folder, or none with a lock: somebody removed it by hand."""
        with self.changing():
            spec = self.topology().queues.get(queue)
            if spec is None:
                return False
            folders = self.folders(queue)
            if os.path.isdir(folders.path):
                os.close(os.open(folders.lock, os.O_RDWR | os.O_CREAT, 0o666))
            else:
                logger.warning("spool %s: the folder of queue %r was not there, and is made anew", self.path, queue)
                self.make_queue(spec)
            return True

    def _replace(self, name: str, data: bytes) -> None:
        temporary = f"{self.path}/{name}.{uuid4().hex}"
        write_file(temporary, data, self.sync)
        os.replace(temporary, f"{self.path}/{name}")
        if self.sync:
            sync_folder(self.path)

    def _check_format(self) -> None:
        text = read_file(f"{self.path}/{_MARK}")
        if not re.search(rb'"format":\s*1\b', text):
            raise OperationalError(
                f"spool {self.path}: {_MARK} says another format than 1, which this release knows: upgrade Kombu here"
            )

    def _tidy(self) -> None:
        """What those have left who died while they were writing or removing."""
        self.empty_trash()
        for name in listed(f"{self.path}/staging"):
            path = f"{self.path}/staging/{name}"
            with suppress(FileNotFoundError):
                if os.stat(path).st_mtime < time.time() - _ABANDONED:
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
