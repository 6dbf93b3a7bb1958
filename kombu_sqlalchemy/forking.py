"""SQLite and fork: a child must not inherit a connection that is open, not even one that it never uses.

A process's locks on a file are not inherited, but what SQLite remembers of them is. The child would believe that it has
locks which only the parent has, and who closes the database next would believe to be the last, and remove the log with
all that the child has stored (https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
So what nobody uses is closed before a fork; and a database that a thread was using then is refused in the child.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection

from kombu.exceptions import NotSupported


class Rests(Protocol):
    """What keeps connections open that nobody uses."""

    def close_idle(self) -> None: ...


_resting: WeakSet[Rests] = WeakSet()
_open: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()
_refused: set[str] = set()


def watch(keeper: Rests) -> None:
    """Let it close before each fork what is idle."""
    _resting.add(keeper)


def opened(connection: Connection) -> None:
    """This process has it."""
    _open[connection] = _file(connection.engine.url.database)


def check(database: str | None) -> None:
    """Raises :class:`NotSupported` for a file that was in use when this process was forked."""
    if _refused and _file(database) in _refused:
        raise NotSupported(
            f"SQLite database {database!r} was in use by a thread when this process was forked, and cannot be used in"
            " it: fork before threads use it, or start processes anew (multiprocessing: 'spawn')"
        )


def _before() -> None:
    for keeper in list(_resting):
        keeper.close_idle()


def _in_the_child() -> None:
    _refused.update(
        file for connection, file in list(_open.items()) if not (connection.closed or connection.invalidated)
    )


def _file(database: str | None) -> str:
    return os.path.realpath(database or "")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_the_child)
