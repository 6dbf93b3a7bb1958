"""Exchanges, queues and bindings as plain values, and the protocol of a store that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

from kombu.transport.virtual.store import QueueSpec

DEFAULT_EXCHANGE = ""
"""Every queue is bound to it by its own name (AMQP 0-9-1, section 3.1.3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSpec:
    """An exchange as it was declared (AMQP 0-9-1 ``exchange.declare``)."""

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingSpec:
    """What leads from an exchange to a queue, or to another exchange when ``to_exchange`` is set."""

    source: str
    destination: str
    routing_key: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    to_exchange: bool = False


PREDECLARED = {
    name: ExchangeSpec(name=name, type=type)
    for name, type in (
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    )
}
"""The exchanges that are always there (AMQP 0-9-1, section 3.1.3)."""


@dataclass(frozen=True, kw_only=True)
class Topology:
    """All that is declared, at one moment. ``version`` changes with every change; equal means same.

    ``provisional``: read inside a transaction that changed it and may still roll back, so not to be kept.
    """

    version: int = 0
    exchanges: Mapping[str, ExchangeSpec] = field(default_factory=dict)
    queues: Mapping[str, QueueSpec] = field(default_factory=dict)
    bindings: tuple[BindingSpec, ...] = ()
    provisional: bool = False

    def exchange(self, name: str) -> ExchangeSpec | None:
        """A declared exchange, or one that AMQP has by itself."""
        return self.exchanges.get(name) or PREDECLARED.get(name)

    @cached_property
    def by_source(self) -> Mapping[str, tuple[BindingSpec, ...]]:
        """The bindings of each exchange."""
        found: dict[str, list[BindingSpec]] = {}
        for binding in self.bindings:
            found.setdefault(binding.source, []).append(binding)
        return {source: tuple(bindings) for source, bindings in found.items()}

    @cached_property
    def temporary(self) -> bool:
        """Whether it has queues that go away by themselves."""
        return any(queue.temporary for queue in self.queues.values())


@runtime_checkable
class TopologyStore(Protocol):
    """Where the topology lives, for all processes at once. ``Store.declare`` and ``delete`` keep the queues.

    All are idempotent; each change gives the topology a new version, one it never had before, and so do
    ``Store.declare`` and ``Store.delete`` when they change something.
    """

    def topology(self) -> Topology:
        """What is declared now."""

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        """Create the exchange unless it exists; does not compare (the engine does)."""

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        """Remove the exchange with the bindings from and to it. ``if_unused``: only when nothing is bound to it.

        False when it was left, or was not there.
        """

    def bind(self, binding: BindingSpec) -> None:
        """Add the binding unless it exists."""

    def unbind(self, binding: BindingSpec) -> None:
        """Remove the binding if it exists."""
