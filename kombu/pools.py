"""Pools of connections and producers for the whole program: one of each for every connection that it names.

``connections[connection].acquire()`` and ``producers[connection].acquire()`` lend from them; equal connections share
a pool, and the one that is named is not used itself.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from kombu.abstract import ChannelLike
from kombu.connection import Connection, ConnectionPool
from kombu.connection.lifeline import deadline_in, seconds_left
from kombu.exceptions import ConnectionError, NotBoundError
from kombu.producer import Producer
from kombu.resource import Resource
from kombu.utils.compat import register_after_fork

__all__ = [
    "Connections",
    "PoolGroup",
    "PooledProducer",
    "ProducerPool",
    "Producers",
    "connections",
    "get_limit",
    "producers",
    "register_group",
    "reset",
    "set_limit",
    "use_global_limit",
]

R = TypeVar("R", bound=Resource[Any])
G = TypeVar("G", bound="PoolGroup[Any]")


class PooledProducer(Producer):
    """A producer that goes back to its pool with :meth:`release`, or at the end of a ``with`` block."""

    _pool: ProducerPool | None
    _lent: Connection | None = None

    def __init__(self, pool: ProducerPool) -> None:
        super().__init__(_given_back)
        self._pool = pool

    def release(self) -> None:
        """Give it back. Doing that twice is harmless, using it then is not."""
        if self._pool is None:
            self.rest()
        else:
            self._pool.release(self)

    def __exit__(self, *exc: object) -> None:
        if isinstance(exc[1], ConnectionError) and self._lent is not None:
            self._lent.collect()
        self.release()

    def work_on(self, connection: Connection) -> None:
        """Use this connection from now on; its channel is opened when it is first needed."""
        if self._channel is not connection._line.kept_channel:
            self.close()
        self._lent = self._source = connection

    def rest(self) -> None:
        """Give the connection back."""
        connection, self._lent, self._source = self._lent, None, _given_back
        if connection is not None:
            connection.release()

    def part(self) -> None:
        """Belong to no pool any more."""
        self._pool = None
        self.close()


class ProducerPool(Resource[PooledProducer]):
    """Producers, each with a connection of the pool ``connections`` while it is lent."""

    def __init__(
        self,
        connections: ConnectionPool,
        limit: int | None = None,
        preload: int | None = None,
        close_after_fork: bool | None = None,
    ) -> None:
        self.connections = connections
        super().__init__(limit, preload, close_after_fork)

    def acquire(self, block: bool = False, timeout: float | None = None) -> PooledProducer:
        """A producer, until it is released; ``timeout`` is for its connection, too."""
        deadline = deadline_in(timeout)
        producer = super().acquire(block, timeout)
        try:
            producer.work_on(self.connections.acquire(block, seconds_left(deadline)))
        except BaseException:
            producer.release()
            raise
        return producer

    def new(self) -> PooledProducer:
        return PooledProducer(self)

    def release(self, resource: PooledProducer) -> None:
        """Its connection goes back first, so that whoever gets the producer next finds one."""
        if resource._pool is not self:
            return
        try:
            resource.rest()
        finally:
            super().release(resource)

    def close_resource(self, resource: PooledProducer) -> None:
        resource.part()
        resource.rest()

    def collect_resource(self, resource: PooledProducer) -> None:
        connection = resource._lent
        if connection is not None:
            connection.collect()
        self.close_resource(resource)

    def _forked(self) -> None:
        for producer in self._lent.values():
            producer.part()
        super()._forked()


class _Global(Enum):
    LIMIT = "the limit of the whole program"


use_global_limit: Final = _Global.LIMIT
"""As a group's limit: what :func:`set_limit` says, for each pool."""


class PoolGroup(dict[Connection, R], Generic[R]):
    """A pool for each connection, made when it is first asked for; ``limit`` is each pool's own."""

    def __init__(self, limit: int | _Global | None = None, close_after_fork: bool = True) -> None:
        super().__init__()
        self.limit = limit
        self.close_after_fork = close_after_fork
        self._renew_lock()
        register_after_fork(self, lambda group: group._renew_lock())

    def create(self, resource: Connection, limit: int | None) -> R:
        """Make the pool for a connection; a subclass says how."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to make a pool: write create()")

    def __missing__(self, resource: Connection) -> R:
        with self._making:
            pool = self.get(resource)
            if pool is None:
                key = resource.clone()
                limit = self.limit if self.limit is None or isinstance(self.limit, int) else get_limit()
                pool = self[key] = self.create(key, limit)
            return pool

    def _renew_lock(self) -> None:
        self._making = threading.RLock()


class Connections(PoolGroup[ConnectionPool]):
    """A pool of connections for each connection."""

    def create(self, resource: Connection, limit: int | None) -> ConnectionPool:
        return ConnectionPool(resource, limit, close_after_fork=self.close_after_fork)


class Producers(PoolGroup[ProducerPool]):
    """A pool of producers for each connection; they use the connections of :data:`connections`."""

    def create(self, resource: Connection, limit: int | None) -> ProducerPool:
        return ProducerPool(connections[resource], limit, close_after_fork=self.close_after_fork)


def register_group(group: G) -> G:
    """Let :func:`set_limit` and :func:`reset` reach this group, too."""
    _groups.append(group)
    return group


def get_limit() -> int:
    """How many connections, and how many producers, each pool of the program's groups may have; 0: no limit."""
    return _limit


def set_limit(limit: int | None, force: bool = False, reset_after: bool = False, ignore_errors: bool = False) -> int:
    """Change :func:`get_limit`, for the pools that there are, too; None and 0: no limit.

    ``reset_after`` closes what is pooled. Raises :class:`~kombu.exceptions.KombuError` when a pool has more in use
    than that, unless ``force`` or ``ignore_errors``: then these are closed when they come back.
    """
    global _limit
    wanted = limit or 0
    if wanted < 0:
        raise ValueError(f"limit={limit}: a number of resources, or None for any number")
    if wanted != _limit or reset_after:
        for group in _groups:
            for pool in list(group.values()) if group.limit is use_global_limit else ():
                pool.resize(wanted, force=force, ignore_errors=ignore_errors, reset=reset_after)
        _limit = wanted
    return wanted


def reset() -> None:
    """Close all that is pooled, in use or not, and forget the pools."""
    pools = [pool for group in reversed(_groups) for pool in group.values()]
    for group in _groups:
        group.clear()
    with ExitStack() as stack:
        for pool in reversed(pools):
            stack.callback(pool.force_close_all)


def _given_back() -> ChannelLike:
    raise NotBoundError("this producer was given back to its pool: acquire another one")


_limit = 10
_groups: list[PoolGroup[Any]] = []

connections = register_group(Connections(limit=use_global_limit))
producers = register_group(Producers(limit=use_global_limit))
