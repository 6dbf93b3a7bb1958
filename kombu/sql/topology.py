"""Exchanges, queues and bindings in the database, with a version that changes whenever they do."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from kombu.sql import messages_sql, queues_sql, topology_sql
from kombu.sql.database import Database, long_operation, operation
from kombu.sql.rows import QueueRow, binding_spec, digest, exchange_spec, micro, queue_row, queue_spec
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import DEFAULT_EXCHANGE, BindingSpec, ExchangeSpec, Topology
from kombu.utils import json

T = TypeVar("T")


class Numbers(NamedTuple):
    """What rows have in a version of the topology: that of the default exchange, which keeps the version, and those of
    the queues that refuse nothing."""

    version: int = 0
    root: int = 0
    queues: Mapping[str, int] = MappingProxyType({})


class SQLTopology:
    """The part of the store that keeps what is declared."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._known: dict[str, QueueSpec] = {}
        self._numbers = Numbers()
        self._fetch = database.fetch
        self._run = database.run

    @operation
    def topology(self) -> Topology:
        """The version is read first: a change in between makes it an old one, which ``put`` refuses."""
        d = self.database.dialect
        exchanges = {
            name: (id, version, (name, *rest)) for id, version, name, *rest in self._fetch(topology_sql.exchanges(d))
        }
        root, version, _ = exchanges.pop(DEFAULT_EXCHANGE, (0, 0, ()))
        self._known.clear()
        queues = self._fetch(topology_sql.queues(d))
        self._numbers = Numbers(version, root, {name: id for id, refuses, name, *_ in queues if not refuses})
        return Topology(
            version=version,
            exchanges={name: exchange_spec(row) for name, (_, _, row) in exchanges.items()},
            queues={name: queue_spec((name, *declared)) for _, _, name, *declared in queues},
            bindings=tuple(map(binding_spec, self._fetch(topology_sql.bindings(d)))),
            provisional=self.database.provisional,
        )

    @operation
    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        d = self.database.dialect
        arguments = json.dumps(dict(exchange.arguments))
        values = [exchange.name, exchange.type, exchange.durable, exchange.auto_delete, arguments]
        self._add(
            topology_sql.has_exchange(d), exchange.name, lambda: self._run(topology_sql.insert_exchange(d), values)
        )

    @operation
    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        d = self.database.dialect

        def remove() -> bool:
            if if_unused and self._fetch(topology_sql.has_bindings_from(d), [name]):
                raise Unchanged
            self._run(topology_sql.delete_bindings_of(d), [name, name])
            return self._run(topology_sql.delete_exchange(d), [name]) > 0

        known = name != DEFAULT_EXCHANGE and self._fetch(topology_sql.has_exchange(d), [name])
        return bool(known) and self._change(remove, False)

    @operation
    def bind(self, binding: BindingSpec) -> None:
        d = self.database.dialect
        arguments = json.dumps(dict(binding.arguments))
        known_by = digest(binding)
        values = [
            binding.source, binding.destination, binding.routing_key, arguments, binding.to_exchange, known_by
        ]  # fmt: skip
        self._add(topology_sql.has_binding(d), known_by, lambda: self._run(topology_sql.insert_binding(d), values))

    @operation
    def unbind(self, binding: BindingSpec) -> None:
        d, known_by = self.database.dialect, digest(binding)
        if self._fetch(topology_sql.has_binding(d), [known_by]):
            self._change(lambda: self._run(topology_sql.delete_binding(d), [known_by]), 0)

    @operation
    def declare(self, queue: QueueSpec) -> None:
        d = self.database.dialect
        limited = queue.max_length is not None or queue.max_bytes is not None
        values = [
            queue.name,
            queue.durable,
            queue.exclusive,
            queue.auto_delete,
            json.dumps(dict(queue.arguments)),
            queue.refuses_when_full and limited,
            None if queue.first_life is None else micro(queue.first_life),
        ]
        self._add(topology_sql.has_queue(d), queue.name, lambda: self._run(queues_sql.insert(d), values))

    @long_operation
    def delete(self, queue: str) -> int:
        if not self._fetch(topology_sql.has_queue(self.database.dialect), [queue]):
            return 0
        return self._change(lambda: self._remove(self._lock([queue])), 0)

    def _add(self, look: str, identity: str, insert: Callable[[], object]) -> None:
        """Unless it is there; who changes the topology waits for others who do, and looks once more then."""

        def add() -> None:
            if self._fetch(look, [identity]):
                raise Unchanged
            insert()

        if not self._fetch(look, [identity]):
            self._change(add, None)

    def _remove(self, locked: Sequence[QueueRow]) -> int:
        """Leave nothing of these queues; answers how many messages they had."""
        d, ids = self.database.dialect, [row.id for row in locked]
        if not ids:
            return 0
        removed = self._run(queues_sql.delete_messages(d, len(ids)), ids)
        self._run(queues_sql.delete_users(d, len(ids)), ids)
        self._run(queues_sql.delete_bindings(d, len(ids)), [row.spec.name for row in locked])
        self._run(queues_sql.delete(d, len(ids)), ids)
        return removed

    def _lock(self, queues: Sequence[str]) -> list[QueueRow]:
        """These queues, whose rows are this transaction's until it ends.

        Where there is one lock, for all who write, an update that changes nothing takes it before anything is read.
        """
        d = self.database.dialect
        if not queues:
            return []
        if d.one_writer:
            self._run(queues_sql.touch(d, len(queues)), queues)
        return list(map(queue_row, self._fetch(queues_sql.lock(d, len(queues)), queues)))

    def _change(self, change: Callable[[], T], unchanged: T) -> T:
        """Give the topology a version it never had, and change it, in one transaction.

        The version is written first: others who change wait for that, and one that turns out to change nothing takes
        it back.
        """
        d, version = self.database.dialect, random.getrandbits(63)
        try:
            with self.database.transaction():
                self.database.topology_changes()
                if not self._run(topology_sql.change_version(d), [version]):
                    self._run(topology_sql.first_version(d), [True, False, version])
                return change()
        except Unchanged:
            return unchanged

    def _version(self) -> int:
        return int(self._fetch(messages_sql.version(self.database.dialect))[0][0])


class Unchanged(Exception):
    """Somebody else was faster, or a condition does not hold: the version stays what it was."""
