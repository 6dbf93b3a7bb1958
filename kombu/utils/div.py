"""Saving what a process holds when it cannot go on."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from kombu.utils.encoding import safe_repr

__all__ = ["emergency_dump_state"]


class Writable(Protocol):
    """A file open for writing, which can be begun anew."""

    def write(self, text: Any, /) -> object: ...
    def seek(self, position: int, /) -> object: ...
    def truncate(self) -> object: ...
    def close(self) -> object: ...


def emergency_dump_state(
    state: object,
    open_file: Callable[[str, str], Writable] | None = None,
    dump: Callable[[Any, Any], object] | None = None,
    stderr: TextIO | None = None,
) -> str:
    """Write ``state`` to a new file in the system's temporary directory; the answer is its path.

    Only its owner may read the file. ``stderr`` (standard error, unless given) is told where it is. ``open_file``
    opens it, and ``dump(state, file)`` writes it: as JSON unless given, and never with pickle unasked. Where that
    fails, what ``repr`` says is written, and why.
    """
    out = stderr or sys.stderr
    descriptor, path = tempfile.mkstemp(prefix="kombu-state-")
    os.close(descriptor)
    out.write(f"EMERGENCY DUMP STATE TO FILE -> {path} <-\n")
    file = (open_file or _open)(path, "w")
    try:
        (dump or _dump_json)(state, file)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the state still has to be saved
        out.write(f"Cannot write the state as it is: {safe_repr(exc)}. Writing its repr instead.\n")
        file.seek(0)
        file.truncate()
        file.write(safe_repr(state))
    finally:
        file.close()
    return path


def _open(path: str, mode: str) -> Writable:
    return open(path, mode, encoding="utf-8")  # the caller closes it


def _dump_json(state: object, file: Writable) -> None:
    from kombu.utils.json import dumps

    file.write(dumps(state))
