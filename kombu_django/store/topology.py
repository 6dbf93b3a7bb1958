"""Exchanges, queues and bindings in the database, with a version that changes whenever they do."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from typing import Any, cast
from weakref import WeakSet

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import DEFAULT_EXCHANGE, BindingSpec, ExchangeSpec, Topology
from kombu.utils import json
from kombu_django.models import Binding, Exchange, Message, Queue, QueueUser
from kombu_django.store import sql
from kombu_django.store.database import Database, micro
from kombu_django.store.errors import translated

_changed_in_transaction: WeakSet[BaseDatabaseWrapper] = WeakSet()
"""Connections that changed the topology in a transaction that has not committed, as far as is known."""


class DjangoTopology(Database):
    """The part of the store that keeps what is declared."""

    def topology(self) -> Topology:
        """The version is read first: a change in between makes it an old one, which ``put`` refuses."""
        with translated(self.alias):
            version = self._version()
            return Topology(
                version=version,
                exchanges={row.name: _exchange(row) for row in self._rows(Exchange).exclude(name=DEFAULT_EXCHANGE)},
                queues={row.name: queue_spec(row) for row in self._rows(Queue)},
                bindings=tuple(_binding(row) for row in self._rows(Binding).order_by("id")),
                provisional=connections[self.alias] in _changed_in_transaction,
            )

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        values = {
            "type": exchange.type,
            "durable": exchange.durable,
            "auto_delete": exchange.auto_delete,
            "arguments": json.dumps(dict(exchange.arguments)),
        }
        self._add(Exchange, {"name": exchange.name}, values)

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        def remove() -> bool:
            if if_unused and self._rows(Binding).filter(source=name).exists():
                self._change_nothing()
                return False
            self._rows(Binding).filter(source=name).delete()
            self._rows(Binding).filter(destination=name, to_exchange=True).delete()
            return bool(self._rows(Exchange).filter(name=name).delete()[0])

        with translated(self.alias):
            known = name != DEFAULT_EXCHANGE and self._rows(Exchange).filter(name=name).exists()
            return known and bool(self._change(remove))

    def bind(self, binding: BindingSpec) -> None:
        values = {
            "source": binding.source,
            "destination": binding.destination,
            "to_exchange": binding.to_exchange,
            "routing_key": binding.routing_key,
            "arguments": json.dumps(dict(binding.arguments)),
        }
        self._add(Binding, {"digest": digest(binding)}, values)

    def unbind(self, binding: BindingSpec) -> None:
        with translated(self.alias):
            rows = self._rows(Binding).filter(digest=digest(binding))
            if rows.exists():
                self._change(rows.delete)

    def declare(self, queue: QueueSpec) -> None:
        values = {
            "durable": queue.durable,
            "exclusive": queue.exclusive,
            "auto_delete": queue.auto_delete,
            "arguments": json.dumps(dict(queue.arguments)),
            "refuses": queue.refuses_when_full and (queue.max_length is not None or queue.max_bytes is not None),
        }

        def add() -> None:
            row, created = self._rows(Queue).get_or_create(name=queue.name, defaults=values)
            if created and queue.first_life is not None:
                self._let_expire(row, self._now() + micro(queue.first_life))

        with translated(self.alias):
            if not self._rows(Queue).filter(name=queue.name).exists():
                self._change(add)

    def delete(self, queue: str) -> int:
        rows = self._rows(Queue).filter(name=queue)
        with translated(self.alias):
            return int(self._change(lambda: self._remove(rows.select_for_update()))) if rows.exists() else 0

    def _add(self, model: type[Any], identity: dict[str, str], values: dict[str, object]) -> None:
        with translated(self.alias):
            if not self._rows(model).filter(**identity).exists():
                self._change(lambda: self._rows(model).get_or_create(**identity, defaults=values))

    def _remove(self, locked: Iterable[Queue]) -> int:
        """Leave nothing of these queues; answers how many messages they had."""
        queues = {row.pk: row.name for row in locked}
        removed, _ = self._rows(Message).filter(queue__in=queues).delete()
        self._rows(QueueUser).filter(queue__in=queues).delete()
        self._rows(Binding).filter(destination__in=queues.values(), to_exchange=False).delete()
        self._rows(Queue).filter(pk__in=queues).delete()
        return int(removed)

    def _let_expire(self, queue: Queue, at: int) -> None:
        self._rows(Queue).filter(pk=queue.pk).update(expires_at=at)

    def _change(self, change: Callable[[], Any]) -> Any:
        """Give the topology a version it never had, and change it, in one transaction.

        The version is written first: on SQLite that takes the write lock before anything is read.
        """
        connection = connections[self.alias]
        if connection.in_atomic_block:
            _changed_in_transaction.add(connection)
            transaction.on_commit(lambda: _changed_in_transaction.discard(connection), using=self.alias)
        with transaction.atomic(using=self.alias):
            version = random.getrandbits(63)
            if not self._rows(Exchange).filter(name=DEFAULT_EXCHANGE).update(version=version):
                self._rows(Exchange).update_or_create(name=DEFAULT_EXCHANGE, defaults={"version": version})
            return change()

    def _change_nothing(self) -> None:
        """In a change that turns out to be none: leave the version as it was."""
        transaction.set_rollback(True, using=self.alias)

    def _version(self) -> int:
        return int(self._fetch(sql.version(), [])[0][0])


def queue_spec(row: Queue) -> QueueSpec:
    """The row as a value."""
    return QueueSpec(
        name=row.name,
        durable=row.durable,
        exclusive=row.exclusive,
        auto_delete=row.auto_delete,
        arguments=_arguments(row.arguments),
    )


def _exchange(row: Exchange) -> ExchangeSpec:
    return ExchangeSpec(
        name=row.name,
        type=row.type,
        durable=row.durable,
        auto_delete=row.auto_delete,
        arguments=_arguments(row.arguments),
    )


def _binding(row: Binding) -> BindingSpec:
    return BindingSpec(
        source=row.source,
        destination=row.destination,
        routing_key=row.routing_key,
        arguments=_arguments(row.arguments),
        to_exchange=row.to_exchange,
    )


def digest(binding: BindingSpec) -> str:
    """What makes a binding the same as another: SHA-256 over its five parts."""
    parts = [
        binding.source,
        binding.destination,
        "exchange" if binding.to_exchange else "queue",
        binding.routing_key,
        json.dumps(dict(sorted(binding.arguments.items()))),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _arguments(text: str) -> dict[str, object]:
    return cast(dict[str, object], json.loads(text))
