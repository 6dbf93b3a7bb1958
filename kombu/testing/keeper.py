"""What the promises about topology stand on: a handle that keeps it, and arguments of all kinds."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol, runtime_checkable

from kombu.testing.case import StoreCase
from kombu.transport.virtual.store import QueueSpec, Store
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology, TopologyStore

ARGUMENTS = {
    "x-match": "all",
    "text": 'größe 注文 📦 it\'s "50%"',
    "number": 2**40,
    "fraction": 0.5,
    "yes": True,
    "nothing": None,
    "nested": {"list": [1, [2, {"deep": "ü"}], []], "empty": {}},
}
"""What JSON can say, in all its kinds."""


@runtime_checkable
class StoreWithTopology(Store, TopologyStore, Protocol):
    """A store that keeps exchanges and bindings too."""


class TopologyCase(StoreCase):
    """A test of one store that keeps the topology."""

    @cached_property
    def keeper(self) -> StoreWithTopology:
        """The test's store, with its topology in view."""
        return with_topology(self.store)

    def another_keeper(self) -> StoreWithTopology:
        return with_topology(self.handle())

    def declare_all(self, *exchanges: str, queues: tuple[str, ...] | list[str]) -> None:
        for name in exchanges:
            self.keeper.declare_exchange(ExchangeSpec(name=name))
        for name in queues:
            self.keeper.declare(QueueSpec(name=name))


def with_topology(store: Store) -> StoreWithTopology:
    assert isinstance(store, StoreWithTopology)
    return store


def assert_same_bindings(topology: Topology, expected: list[BindingSpec]) -> None:
    """Bindings have no order, and no hash to put them into a set."""
    assert sorted(map(repr, topology.bindings)) == sorted(map(repr, expected))
