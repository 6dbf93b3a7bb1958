"""What a door brings: statements are sent, transactions are made, a driver's errors are told."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from kombu.exceptions import ConnectionError, OperationalError
from kombu.sql.dialect import Dialect
from kombu.sql.patience import ANSWER_TIMEOUT, Watch
from kombu.sql.waiting import Waiter
from kombu.transport.virtual.deadline import seconds_to_wait

Row = tuple[Any, ...]
P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 10
_LONGEST_PAUSE = 0.2
_LONG = 60.0


class Conflict(OperationalError):
    """The database gave up a transaction because of another one (a deadlock, a serialization failure): nothing of it
    was done, and the same again may succeed."""


class Database(ABC):
    """A database, for one store. To be used by several threads at once.

    ``fetch`` and ``run`` are called inside :meth:`session` only. A statement is a transaction of its own unless one
    is open.
    """

    name: str
    """As people know it; without a password."""

    answer_timeout: float = ANSWER_TIMEOUT
    """Seconds that the server may take for an operation before its connection counts as lost: see
    :mod:`kombu.sql.patience`."""

    place: Hashable | None = None
    """The same for all that lead to the same tables with the same rights: see
    :class:`kombu.transport.virtual.store.Shared`."""

    @property
    def driver(self) -> Any:
        """The driver's own connection, inside :meth:`session`; None where nobody has to be waited for."""
        return None

    @property
    @abstractmethod
    def dialect(self) -> Dialect:
        """Known once :meth:`open` has returned."""

    @abstractmethod
    def open(self) -> None:
        """See that the database answers; raises what a session would."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what this holds, in this thread at least."""

    @abstractmethod
    def session(self, visiting: bool = False) -> AbstractContextManager[None]:
        """A connection for this thread's statements until it ends; within another session, that one. ``visiting``: the
        thread is the keeper's, perhaps, which keeps none for itself.

        The driver's errors leave it as :class:`Conflict`, :class:`~kombu.exceptions.ConnectionError` or
        :class:`~kombu.exceptions.OperationalError`, saying what to do.
        """

    @abstractmethod
    def fetch(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a statement."""

    @abstractmethod
    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """How many rows a statement stored, changed or removed."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All statements in it happen, or none; inside another transaction too."""

    @property
    @abstractmethod
    def in_callers_transaction(self) -> bool:
        """Whether what this thread does now is part of a transaction that the caller began."""

    @property
    @abstractmethod
    def provisional(self) -> bool:
        """Whether the topology was changed in the caller's transaction, which may roll back."""

    @abstractmethod
    def topology_changes(self) -> None:
        """Called inside a transaction that changes it."""

    @abstractmethod
    def waiter(self) -> Waiter:
        """What tells a thread that others have committed something. Its ``mark`` and ``wait`` are called inside a
        session."""

    @property
    @abstractmethod
    def announces(self) -> bool:
        """Whether others may be waiting to be told by :meth:`announce`."""

    @abstractmethod
    def announce(self, queues: Collection[str]) -> None:
        """Tell those who wait that something is in these queues, once this thread's transaction has committed.

        What was put stays put, whatever becomes of this: who waits looks by himself before long.
        """


class Stored(Protocol):
    """What :func:`operation` needs of a store."""

    database: Database


S = TypeVar("S", bound=Stored)


def operation(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method of a store, in a session of its own; repeated where the database gave it up because of another
    transaction, unless it is part of the caller's: that is the caller's to repeat. One does not call another.

    Raises :class:`~kombu.exceptions.ConnectionError` where the server says nothing for ``answer_timeout`` seconds."""
    return _repeated(method, visiting=False)


def long_operation(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """An :func:`operation` with as many messages as there are: the server may take longer for it."""
    return _repeated(method, visiting=False, times=_LONG)


def visit(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """An :func:`operation` that the keeper calls, too."""
    return _repeated(method, visiting=True)


def _repeated(
    method: Callable[Concatenate[S, P], T], visiting: bool, times: float = 1.0
) -> Callable[Concatenate[S, P], T]:
    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        database = self.database
        attempt = 0
        while True:
            watch: Watch | None = None
            try:
                limit = seconds_to_wait(database.answer_timeout * times)
                with database.session(visiting), Watch(database.driver, limit) as watch:
                    return method(self, *args, **kwargs)
            except Conflict:
                attempt += 1
                if attempt == _ATTEMPTS or database.in_callers_transaction:
                    raise
            except ConnectionError as exc:
                if watch is None or not watch.over:
                    raise
                silent = ConnectionError(f"{database.name}: no answer within {watch.limit:.3g} seconds")
                silent.uncertain = exc.uncertain
                raise silent from exc
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.002 * 2**attempt)))  # noqa: S311

    return call
