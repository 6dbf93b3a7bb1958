"""Who uses a queue of a spool, and until when: one small file in the queue's folder, written under its lock."""

from __future__ import annotations

import json
import os
from abc import ABC
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from kombu.transport.filesystem.contents import read_file, write_file
from kombu.transport.filesystem.errors import explained
from kombu.transport.filesystem.folders import Folders
from kombu.transport.filesystem.line import micro
from kombu.transport.filesystem.names import NEVER
from kombu.transport.filesystem.spool import Spool
from kombu.transport.virtual.store import QueueSpec, User


@dataclass(slots=True)
class Attendance:
    """``until`` has when each user is gone, in the order they came; ``ends`` is when the queue's life is over."""

    spec: QueueSpec
    until: dict[User, int] = field(default_factory=dict)
    ends: int = NEVER

    def attend(self, users: Iterable[User], now: int, seconds: float) -> bool:
        if self.ends <= now:
            return False
        self._forget_absent(now)
        if seconds:
            self.until.update(dict.fromkeys(users, now + micro(seconds)))
        life = self.spec.unused_life
        if life is not None:
            last = max(self.until.values(), default=now) if seconds else now
            before = 0 if seconds or self.ends == NEVER else self.ends
            self.ends = max(before, last + micro(life))
        return True

    def leave(self, users: Iterable[User], now: int) -> None:
        self._forget_absent(now)
        gone = [user for user in users if self.until.pop(user, None) is not None]
        life = self.spec.unused_life
        if not gone or life is None:
            return
        if self.spec.auto_delete and _consumers(gone) and not _consumers(self.until):
            self.ends = now
        elif not self.until:
            self.ends = now + micro(life)

    def there(self, now: int) -> list[User]:
        return [user for user, until in self.until.items() if until > now]

    def _forget_absent(self, now: int) -> None:
        """Who was away too long has lost the place in line."""
        self.until = {user: until for user, until in self.until.items() if until > now}


class Users(Spool, ABC):
    """The part of the store that knows who is there: :class:`kombu.transport.virtual.store.Attended`."""

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        answers = {}
        with explained(self.path):
            for queue in dict.fromkeys(user.queue for user in users):
                answers[queue] = self._attend(queue, [user for user in users if user.queue == queue], seconds)
        return [answers[user.queue] for user in users]

    def leave(self, users: Sequence[User]) -> None:
        with explained(self.path):
            for queue in dict.fromkeys(user.queue for user in users):
                with self.line(queue) as line:
                    if line is not None and (attendance := self._attendance(queue, line.folders)) is not None:
                        attendance.leave([user for user in users if user.queue == queue], line.now)
                        self._write(line.folders, attendance)

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        found = {}
        with explained(self.path):
            for queue in queues:
                with self.line(queue) as line:
                    attendance = None if line is None else self._attendance(queue, line.folders)
                    if line is not None and attendance is not None:
                        found[queue] = attendance.there(line.now)
        return found

    def expire_queues(self) -> list[str]:
        with explained(self.path):
            temporary = [name for name, queue in self.topology().queues.items() if queue.temporary]
            if not any(self._has_ended(name) for name in temporary):
                return []
            with self.changing():
                return [name for name in temporary if name in self.topology().queues and self._end(name)]

    def begin_life(self, folders: Folders, queue: QueueSpec) -> None:
        life = queue.first_life
        self._write(folders, Attendance(queue, ends=NEVER if life is None else self.now() + micro(life)))

    def _attend(self, queue: str, users: Sequence[User], seconds: float) -> bool:
        with self.line(queue) as line:
            attendance = None if line is None else self._attendance(queue, line.folders)
            if line is None or attendance is None or not attendance.attend(users, line.now, seconds):
                return False
            self._write(line.folders, attendance)
            return True

    def _has_ended(self, queue: str) -> bool:
        attendance = self._attendance(queue, self.folders(queue))
        return attendance is not None and attendance.ends <= self.now()

    def _end(self, queue: str) -> bool:
        """Nobody comes to it between the look and its end: both are done under its lock."""
        with self.line(queue) as line:
            attendance = None if line is None else self._attendance(queue, line.folders)
            if line is None or attendance is None or attendance.ends > line.now:
                return False
            self.forget_queue(queue)
            self.throw_away(line)
        self.empty_trash()
        return True

    def _attendance(self, queue: str, folders: Folders) -> Attendance | None:
        """None when the queue is not declared. A file that says nothing sensible is one that was not on the disk when
        the machine stopped: nobody is there then, and the queue's life begins."""
        spec = self.topology().queues.get(queue)
        if spec is None:
            return None
        try:
            return _read(spec, json.loads(read_file(folders.users)))
        except FileNotFoundError:
            return Attendance(spec)
        except (ValueError, KeyError, TypeError):
            life = spec.first_life if spec.unused_life is None else max(spec.unused_life, _GRACE)
            return Attendance(spec, ends=NEVER if life is None else self.now() + micro(life))

    def _write(self, folders: Folders, attendance: Attendance) -> None:
        """In place, if there is room, so that it works on a full disk, too; otherwise into a larger file."""
        users = [[user.who, user.consumer, until] for user, until in attendance.until.items()]
        data = json.dumps({"ends": attendance.ends, "users": users}).encode()
        file = os.open(folders.users, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            room = os.fstat(file).st_size
            if len(data) <= room:
                os.pwrite(file, data.ljust(room), 0)
                return
        finally:
            os.close(file)
        larger = f"{folders.users}.{uuid4().hex}"
        write_file(larger, data.ljust((len(data) // _ROOM + 1) * _ROOM), sync=False)
        os.rename(larger, folders.users)


_ROOM = 4096
"""Bytes: what a disk gives in any case."""
_GRACE = 60.0
"""Seconds that a queue lives whose users nobody knows any more."""


def _read(spec: QueueSpec, document: dict[str, Any]) -> Attendance:
    until = {User(spec.name, str(who), bool(consumer)): int(at) for who, consumer, at in document["users"]}
    return Attendance(spec, until, int(document["ends"]))


def _consumers(users: Iterable[User]) -> bool:
    return any(user.consumer for user in users)
