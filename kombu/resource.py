"""Resource: a pool of things that are costly to make, lent to one user at a time."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack
from typing import Generic, Self, TypeVar

from kombu import exceptions
from kombu.exceptions import KombuError
from kombu.utils.compat import register_after_fork

__all__ = ["PoolClosed", "Resource", "keep_for_the_parent"]

T = TypeVar("T")


class PoolClosed(KombuError, RuntimeError):
    """The pool was closed: make a new one."""


class Resource(Generic[T]):
    """A pool. A subclass says how a resource is made (:meth:`new`), closed and handed over.

    ``limit`` is how many there may be at a time. None or 0: no limit, and then nothing is kept, each use makes one
    and closes it. ``preload``: how many are made at once. May be shared between threads: those who wait are served
    in the order they came. In a forked child it is empty at first, with its whole limit; the parent's resources stay
    the parent's. ``close_after_fork=False``: the child goes on with what it inherited.
    """

    LimitExceeded: type[exceptions.LimitExceeded] = exceptions.LimitExceeded
    """What :meth:`acquire` raises when all are in use."""

    _idle: list[T]

    def __init__(
        self, limit: int | None = None, preload: int | None = None, close_after_fork: bool | None = None
    ) -> None:
        self._limit = _checked(limit)
        self._preload = preload or 0
        self._close_after_fork = close_after_fork is not False
        self._closed = False
        self._lends_as_is = type(self).prepare is Resource.prepare
        self._takes_back_as_is = type(self).release_resource is Resource.release_resource
        self._begin_empty()
        register_after_fork(self, lambda pool: pool._forked())
        try:
            self.setup()
        except BaseException:
            self.force_close_all()
            raise

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._lent)} of {self._limit or 'any number'} in use"
        return f"<{type(self).__name__} {state}>"

    def new(self) -> T:
        """Make one; a subclass has to say how."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to make a resource: write new()")

    def setup(self) -> None:
        """Make ``preload`` of them; called with a new pool and after a reset."""
        for _ in range(min(self._preload, self._limit or 0)):
            made = self.new()
            with self._lock:
                self._idle.append(made)

    def prepare(self, resource: T) -> T:
        """Called with each resource before it is lent, for a subclass; what this returns is lent."""
        return resource

    def release_resource(self, resource: T) -> None:
        """Called with each resource that comes back, before others may have it, unless it :meth:`is_ready`; for a
        subclass."""

    def is_ready(self, resource: T) -> bool:
        """Whether others may have what comes back as it is; for a subclass with a :meth:`release_resource`. Called
        while nobody else uses the pool."""
        return False

    def close_resource(self, resource: T) -> None:
        """Close one that is no longer needed; a subclass says how, the default calls its ``close``."""
        close = getattr(resource, "close", None)
        if callable(close):
            close()

    def collect_resource(self, resource: T) -> None:
        """Close one that may be broken or in use; for a subclass."""
        self.close_resource(resource)

    def acquire(self, block: bool = False, timeout: float | None = None) -> T:
        """One of them, until it is given to :meth:`release`; the most recently used one first.

        When all are in use: raises :attr:`LimitExceeded` at once, or with ``block`` after ``timeout`` seconds; None
        waits for ever. Raises :class:`PoolClosed`, and what making one raises.
        """
        with self._lock:
            if self._closed or (self._limit and (self._waiting or not self._has_room)):
                self._wait(timeout if block else 0.0)
            kept = self._idle.pop() if self._idle else None
            if kept is not None and self._lends_as_is:
                self._lent[id(kept)] = kept
                return kept
            self._making += 1
        return self._lend(kept)

    def _lend(self, resource: T | None) -> T:
        """Once there is a place within the limit: this one, or a new one."""
        try:
            resource = self.new() if resource is None else resource
            lent = self.prepare(resource)
        except BaseException:
            with self._lock:
                self._making -= 1
                self._changed.notify_all()
            if resource is not None:
                self.collect_resource(resource)
            raise
        with self._lock:
            self._making -= 1
            self._lent[id(lent)] = lent
        return lent

    def release(self, resource: T) -> None:
        """Give one back. Does nothing with one that is not lent: releasing twice is harmless, using it then is not.

        Beyond the limit, and in a closed pool, it is closed.
        """
        with self._lock:
            if self._lent.pop(id(resource), None) is None:
                return
            if (self._takes_back_as_is or self.is_ready(resource)) and self._keep(resource):
                return
            self._making += 1
        self._release(resource)

    def _release(self, resource: T) -> None:
        """One that something has to be done with."""
        try:
            self.release_resource(resource)
        except BaseException:
            self._settle(None)
            self.collect_resource(resource)
            raise
        if not self._settle(resource):
            self.close_resource(resource)

    def replace(self, resource: T) -> None:
        """Close one that is broken instead of giving it back: another one will be made in its place."""
        with self._lock:
            self._lent.pop(id(resource), None)
            self._changed.notify_all()
        self.collect_resource(resource)

    @property
    def limit(self) -> int | None:
        """How many there may be at a time. May be set: see :meth:`resize`."""
        return self._limit

    @limit.setter
    def limit(self, limit: int | None) -> None:
        self.resize(limit)

    def resize(self, limit: int | None, force: bool = False, ignore_errors: bool = False, reset: bool = False) -> None:
        """Change the limit; what is idle beyond it is closed. ``reset`` closes all and begins anew.

        Raises :class:`~kombu.exceptions.KombuError` when more are in use than the new limit allows. With ``force`` or
        ``ignore_errors`` they stay in use and are closed when they come back.
        """
        _checked(limit)
        with self._lock:
            in_use = len(self._lent) + self._making
            if limit and in_use > limit and not (force or ignore_errors or reset):
                raise KombuError(f"limit={limit}, but {in_use} are in use: release some, or use force=True")
            self._limit = limit
            room = max(limit - in_use, 0) if limit else 0
            surplus, self._idle = self._idle[room:], self._idle[:room]
            self._changed.notify_all()
        with ExitStack() as stack:
            for resource in surplus:
                stack.callback(self.close_resource, resource)
        if reset:
            self.force_close_all(close_pool=False)
            self.setup()

    def force_close_all(self, close_pool: bool = True) -> None:
        """Close every resource, those in use, too. ``close_pool``: nothing can be acquired any more."""
        with self._lock:
            self._closed = close_pool
            resources = [*self._idle, *self._lent.values()]
            self._idle.clear()
            self._lent.clear()
            self._changed.notify_all()
        with ExitStack() as stack:
            for resource in resources:
                stack.callback(self.collect_resource, resource)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.force_close_all()

    def _wait(self, timeout: float | None) -> None:
        """For a place within the limit."""
        me = object()
        self._waiting.append(me)
        try:
            waited = self._changed.wait_for(lambda: self._closed or self._may_take(me), timeout)
        finally:
            self._waiting.remove(me)
            self._changed.notify_all()
        if self._closed:
            raise PoolClosed(f"{self!r}: make a new one")
        if not waited:
            raise self.LimitExceeded(f"all {self._limit} are in use")

    def _may_take(self, me: object) -> bool:
        return not self._limit or (self._waiting[0] is me and self._has_room)

    @property
    def _has_room(self) -> bool:
        return len(self._lent) + self._making < (self._limit or 0)

    def _settle(self, resource: T | None) -> bool:
        """A resource is no longer being given back; whether it is kept."""
        with self._lock:
            self._making -= 1
            return self._keep(resource)

    def _keep(self, resource: T | None) -> bool:
        """Whether there is a place for it."""
        in_use = len(self._lent) + self._making + len(self._idle)
        kept = resource is not None and not self._closed and in_use < (self._limit or 0)
        if kept and resource is not None:
            self._idle.append(resource)
        if self._waiting:
            self._changed.notify_all()
        return kept

    def _begin_empty(self) -> None:
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[object] = deque()
        self._idle = []
        self._lent: dict[int, T] = {}
        self._making = 0

    def _forked(self) -> None:
        idle, lent = self._idle, self._lent
        self._begin_empty()
        if self._close_after_fork:
            keep_for_the_parent(*idle, *lent.values())
        else:
            self._idle, self._lent = idle, lent


def keep_for_the_parent(*things: object) -> None:
    """In a forked child: never let go of these, because a driver may talk to the parent's broker when it does."""
    _inherited.extend(things)


_inherited: list[object] = []


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 0:
        raise ValueError(f"limit={limit}: a number of resources, or None for any number")
    return limit
