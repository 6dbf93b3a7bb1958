"""Stores that lie about exchanges, queues and bindings: one deliberate fault each."""

from __future__ import annotations

from dataclasses import replace

from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology


class KeepsTheTopologyItReadFirst(MemoryStore):
    """As a cache does that nobody invalidates."""

    read: Topology | None = None

    def topology(self) -> Topology:
        self.read = self.read or super().topology()
        return self.read


class BindsTwice(MemoryStore):
    def topology(self) -> Topology:
        found = super().topology()
        return replace(found, bindings=found.bindings * 2)


class ForgetsQueueArguments(MemoryStore):
    def declare(self, queue: QueueSpec) -> None:
        super().declare(replace(queue, arguments={}))


class KeepsOneVersion(MemoryStore):
    def topology(self) -> Topology:
        return replace(super().topology(), version=1)


class CountsEveryCallAsAChange(MemoryStore):
    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        super().declare_exchange(exchange)
        super().declare_exchange(ExchangeSpec(name="unheard of"))
        super().delete_exchange("unheard of")


class BindsByKeyOnly(MemoryStore):
    def bind(self, binding: BindingSpec) -> None:
        if not any(replace(b, arguments=binding.arguments) == binding for b in self.topology().bindings):
            super().bind(binding)


class UnbindsAllOfAQueue(MemoryStore):
    def unbind(self, binding: BindingSpec) -> None:
        for other in self.topology().bindings:
            if (other.source, other.destination) == (binding.source, binding.destination):
                super().unbind(other)


class TakesExchangesForQueues(MemoryStore):
    def bind(self, binding: BindingSpec) -> None:
        super().bind(replace(binding, to_exchange=False))


class DropsArguments(MemoryStore):
    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        super().declare_exchange(replace(exchange, arguments={}))


class LeavesBindingsBehind(MemoryStore):
    def delete(self, queue: str) -> int:
        bindings = self.topology().bindings
        removed = super().delete(queue)
        for binding in bindings:
            self.bind(binding)
        return removed


class DeletesTheUsed(MemoryStore):
    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        return super().delete_exchange(name)


class NeverSaysWhetherItDeleted(MemoryStore):
    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        super().delete_exchange(name, if_unused)
        return False
