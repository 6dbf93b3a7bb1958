"""The messages of a spool: put, claim, settle, and look."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby

from kombu.exceptions import OperationalError
from kombu.transport.filesystem.contents import Content, Torn, read_content, read_file, sync_folder
from kombu.transport.filesystem.errors import explained
from kombu.transport.filesystem.line import Found, Line, micro
from kombu.transport.filesystem.names import Name
from kombu.transport.filesystem.putting import Putting
from kombu.transport.filesystem.state import look_at_state
from kombu.transport.filesystem.waiting import Waiter
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Lease,
    MessageId,
    Move,
    Outcome,
    QueueSpec,
    Release,
)

logger = logging.getLogger(__name__)

CAPABILITIES = Capabilities(
    name="filesystem",
    queue_arguments=frozenset(
        {
            "x-message-ttl",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-overflow",
            "x-max-priority",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-delivery-limit",
            "x-single-active-consumer",
        }
    ),
    max_batch=500,
)

_MOST_KNOWN = 100_000
"""Leases whose files are remembered; others are looked for."""


class FileStore(Putting):
    """A handle on the queues in one folder, which all handles on it in all processes of the machine share."""

    capabilities = CAPABILITIES

    def __init__(self, path: str, *, sync: bool = True, patience: float = 20.0) -> None:
        super().__init__(os.path.abspath(path), sync, patience)
        self._waiter = Waiter()

    def open(self) -> None:
        with explained(self.path):
            try:
                self.prepare()
            except FileNotFoundError as exc:
                raise OperationalError(f"spool {self.path}: the folder cannot be made: {exc.strerror}") from exc

    def close(self) -> None:
        """Nothing is kept open: the messages stay."""
        self._known.clear()

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        found: list[Delivery] = []
        with explained(self.path):
            for queue, limit in wants.items():
                with self.line(queue) as line:
                    paused = limit <= 0 or line is None or line.folders.paused
                    taken = [] if paused or line is None else line.claim(limit, line.now + micro(lease), _token())
                found += self._deliveries(queue, line, taken)
        return found

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers: list[bool] = []
        with explained(self.path):
            for _, group in groupby(outcomes, key=_kind):
                answers += self._settle(list(group))
        return answers

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        extended: list[Lease | None] = []
        with explained(self.path):
            for queue, group in groupby(leases, key=lambda lease: lease.queue):
                with self.line(queue) as line:
                    extended += [self._extend(line, lease, seconds) for lease in group]
        return extended

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        with explained(self.path):
            self._waiter.wait([self.folders(queue) for queue in queues], timeout)

    def wake(self) -> None:
        self._waiter.wake()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        found = {}
        with explained(self.path):
            declared = self.topology().queues
            for queue in dict.fromkeys(queue for queue in queues if queue in declared):
                with self.line(queue) as line:
                    if line is not None:
                        found[queue] = line.counts()
        return found

    def purge(self, queue: str) -> int:
        with explained(self.path), self.line(queue) as line:
            return 0 if line is None else line.purge()

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        found: list[Delivery] = []
        with explained(self.path):
            for queue in self.topology().queues:
                state = look_at_state(self.folders(queue).lock)
                if len(found) < limit and (state is None or state.expiry <= self.now()):
                    with self.line(queue) as line:
                        taken = [] if line is None else self._lease(line, line.expired(limit - len(found)), lease)
                    found += self._deliveries(queue, line, taken)
        return found

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        found: list[Delivery] = []
        with explained(self.path):
            for queue in queues:
                spec = self.topology().queues.get(queue)
                if spec is not None and (spec.max_length is not None or spec.max_bytes is not None):
                    with self.line(queue) as line:
                        taken = [] if line is None else self._lease(line, line.surplus(spec), lease)
                    found += self._deliveries(queue, line, taken)
        return found

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        with explained(self.path), self.line(queue) as line:
            shown = [] if line is None else line.browse(limit, after)
            found = [] if line is None else self._read_all(queue, line, shown)
        return [each._replace(lease=each.lease._replace(token="")) for each in found]

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        with explained(self.path):
            with self.line(queue) as line:
                taken = [] if line is None or not ids else self._lease(line, line.free(ids), lease)
            return self._deliveries(queue, line, taken)

    def pause(self, queue: str, paused: bool = True) -> bool:
        with explained(self.path), self.line(queue) as line:
            if line is None:
                return False
            if paused:
                os.close(os.open(line.folders.pause, os.O_WRONLY | os.O_CREAT, 0o666))
            else:
                with suppress(FileNotFoundError):
                    os.unlink(line.folders.pause)
                line.stir()
            return True

    def paused(self) -> list[str]:
        with explained(self.path):
            return [queue for queue in self.topology().queues if self.folders(queue).paused]

    def declare(self, queue: QueueSpec) -> None:
        with explained(self.path), self.changing():
            if queue.name not in self.topology().queues:
                self.throw_away_remains(queue.name)
                self.make_queue(queue)
                super().declare(queue)

    def delete(self, queue: str) -> int:
        with explained(self.path):
            with self.changing(), self.line(queue) as line:
                gone = 0 if line is None else line.total()
                self.forget_queue(queue)
                if line is not None:
                    self.throw_away(line)
            self.empty_trash()
            return gone

    def _settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """All of one queue and kind."""
        if moves := [each for each in outcomes if isinstance(each, Move) and each.into]:
            return [self.move(each) for each in moves]
        with self.line(outcomes[0].lease.queue) as line:
            answers = [self._settle_one(line, outcome) for outcome in outcomes]
            if self.sync and line is not None and any(answers):
                sync_folder(line.folders.leased)
        return answers

    def _settle_one(self, line: Line | None, outcome: Outcome) -> bool:
        found = self.locate(line, outcome.lease)
        if line is None or found is None:
            return False
        if isinstance(outcome, Release):
            line.release(found, outcome.delay, outcome.counted)
        else:
            line.remove(found)
        return True

    def _extend(self, line: Line | None, lease: Lease, seconds: float) -> Lease | None:
        found = self.locate(line, lease)
        if line is None or found is None:
            return None
        _, self._known[lease] = line.extend(found, line.now + micro(seconds))
        return lease

    def _lease(self, line: Line, chosen: Sequence[Found], seconds: float) -> list[Found]:
        return line.lease(chosen, line.now + micro(seconds), _token())

    def _deliveries(self, queue: str, line: Line | None, taken: Sequence[Found]) -> list[Delivery]:
        """What has just been claimed; nobody else touches these files by now."""
        if line is None or not taken:
            return []
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known.update((Lease(queue, name.id, name.token), name) for _, name in taken)
        return self._read_all(queue, line, taken)

    def _read_all(self, queue: str, line: Line, taken: Sequence[Found]) -> list[Delivery]:
        found = []
        for file, name in taken:
            content = self._read(line, file, name)
            if content is not None:
                lease, age = Lease(queue, name.id, name.token), max(line.now - (content.stored or line.now), 0) / 1e6
                expired = name.expires <= line.now
                found.append(Delivery(lease, content.head, content.body, name.priority, name.count, expired, age))
        return found

    def _read(self, line: Line, file: str, name: Name) -> Content | None:
        """None for a message that is not there, or not whole: that one is set aside, for people to look at."""
        try:
            return read_content(read_file(file))
        except FileNotFoundError:
            return None
        except (Torn, UnicodeDecodeError, PermissionError) as exc:
            try:
                aside = line.set_aside(file, name)
            except FileNotFoundError:
                return None
            logger.error("a message cannot be read (%r), and is out of its queue now: %s", exc, aside)
            return None


def _token() -> int:
    return random.getrandbits(63)


def _kind(outcome: Outcome) -> tuple[str, bool]:
    return outcome.lease.queue, isinstance(outcome, Move) and bool(outcome.into)
