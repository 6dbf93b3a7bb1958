"""Locks between processes and threads that die with their owner: ``flock`` on an open file, never a file's existence.

Each time a lock is taken its file is opened anew, since a lock belongs to what was opened: two threads exclude each
other like two processes, and no forked child keeps one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import NotSupported, OperationalError
from kombu.utils.deadline import seconds_to_wait

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]

_SHORTEST, _LONGEST = 0.00005, 0.002
"""Seconds between two attempts."""


def check_locks() -> None:
    """Raises :class:`NotSupported` where the system has no such locks."""
    if flock is None:
        raise NotSupported("transport 'filesystem' needs flock, which Linux, macOS and the BSDs have")


@contextmanager
def locked(path: str, patience: float) -> Iterator[int]:
    """The open file that is locked until the block ends.

    Raises ``FileNotFoundError`` when there is no such file (any more), and :class:`OperationalError` when somebody
    else has it for longer than ``patience`` seconds, or until the caller's deadline.
    """
    patience = seconds_to_wait(patience)
    deadline = time.monotonic() + patience
    while True:
        file = os.open(path, os.O_RDWR)
        try:
            _wait_for(file, path, deadline, patience)
            if os.fstat(file).st_nlink:
                yield file
                return
        finally:
            flock(file, LOCK_UN)  # a child that was forked meanwhile has a copy, which closing would leave locked
            os.close(file)


def _wait_for(file: int, path: str, deadline: float, patience: float) -> None:
    pause = _SHORTEST
    while True:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise OperationalError(
                    f"{path} was locked by another process for {patience:.3g} seconds: is that stopped, or the disk"
                    " stuck?"
                ) from None
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST)
        else:
            return
