"""What a queue knows about itself without listing folders: one short record, in the file that is its lock.

It is a hint wherever it can be: the times are never later than what they are about, and a record that is from before
the machine's last start is made anew from the files.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from kombu.transport.filesystem.names import NEVER

_SIZE = 160
"""Bytes; always the same, so that writing it needs no space."""
_PARTS = 6


@dataclass(slots=True)
class State:
    """``place`` is the next free place in line; ``changes`` goes up when something may have become claimable.

    The times, in microseconds since 1970, are when the first delayed message is due, the first lease ends, and
    the first message expires: or earlier.
    """

    place: int = 0
    changes: int = 0
    due: int = 0
    lapse: int = 0
    expiry: int = 0

    @property
    def next(self) -> int:
        """When something may become claimable by itself."""
        return min(self.due, self.lapse)


FRESH = State(due=NEVER, lapse=NEVER, expiry=NEVER)
"""Of a queue that never had a message."""


def read_state(file: int) -> State | None:
    """None when there is no record, or it is not of this run of the machine."""
    parts = os.pread(file, _SIZE, 0).split()
    if len(parts) != _PARTS or parts[0] != _boot:
        return None
    with suppress(ValueError):
        return State(*map(int, parts[1:]))
    return None


def write_state(file: int, state: State) -> None:
    record = b"%b %d %d %d %d %d" % (_boot, state.place, state.changes, state.due, state.lapse, state.expiry)
    os.pwrite(file, record.ljust(_SIZE - 1) + b"\n", 0)


def look_at_state(path: str) -> State | None:
    """Without the lock: for those who wait. None when it has to be looked at more closely, or there is no queue."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return FRESH
    try:
        return read_state(file)
    finally:
        os.close(file)


def _this_boot() -> bytes:
    """Another one after each start of the machine, where the system tells: the record may be older than the files."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read().strip()
    return b"-"


_boot = _this_boot()
