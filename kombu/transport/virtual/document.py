"""The topology as one JSON document, for backends that can replace a document unless somebody else has.

A store that extends :class:`DocumentTopology` gives two primitives, reading the document and replacing it, and keeps
exchanges, queues and bindings as :class:`~kombu.transport.virtual.topology.TopologyStore` wants them kept. Every
change reads, edits and replaces; where another change came first it begins anew with what that has left.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar, cast

from kombu.exceptions import DecodeError, InconsistencyError, OperationalError
from kombu.retry import RetryPolicy, retry
from kombu.transport.virtual.store import Capabilities, QueueSpec, TopologyMoved
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology
from kombu.utils import json

__all__ = ["FORMAT", "DocumentTopology", "read_topology", "written"]

Revision = TypeVar("Revision")

FORMAT = 1
"""Of the document. Any other field in it makes it another format: a program that does not know the field would lose
it with its next change."""

_RETRIES = 60
_PATIENCE = RetryPolicy(max_retries=_RETRIES, interval_start=0.002, interval_step=0.004, interval_max=0.2, jitter=1.0)
"""For a change before which others come: some four seconds, besides what reading and writing takes."""


class DocumentTopology(ABC, Generic[Revision]):
    """Keeps exchanges, queues and bindings in a document that the store reads and replaces.

    ``Revision`` is whatever tells the store that the document is still the one it read: an entity tag, a number, or
    simply the version of the topology, which is never used twice.

    ``Store.declare`` is here. Of ``Store.delete`` only :meth:`forget_queue` is, which the store calls before it removes
    the messages, in the same transaction if it has such: a message that stayed would be in the queue's successor.
    """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    def read_document(self) -> tuple[str, Revision]:
        """The document, and its revision. Empty text where there is none yet."""

    @abstractmethod
    def write_document(self, text: str, version: int, revision: Revision) -> bool:
        """Replace the document if its revision is still this one; False, and nothing is written, where it is not.

        Looking and writing are one step for everybody else. ``version`` is that of the topology in ``text``, for a
        store that keeps it where ``put`` compares it.
        """

    def topology(self) -> Topology:
        """What is declared now."""
        text, _ = self.read_document()
        return read_topology(text, self.capabilities.name)

    def check_topology(self, version: int | None, queues: Iterable[str]) -> None:
        """What ``put`` asks first: raises :class:`TopologyMoved` for an old version or a queue that does not exist."""
        topology = self.topology()
        if version not in (None, topology.version) or not all(queue in topology.queues for queue in queues):
            raise TopologyMoved

    def declare(self, queue: QueueSpec) -> None:
        """Create the queue unless it exists."""
        self._change(partial(_with_queue, queue=queue))

    def forget_queue(self, queue: str) -> bool:
        """Remove the queue with the bindings to it, and leave its messages to the store; False when there is none."""
        return self._change(partial(_without_queue, name=queue))

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        """Create the exchange unless it exists."""
        self._change(partial(_with_exchange, exchange=exchange))

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        """Remove the exchange with the bindings from and to it; False when it was left, or was not there."""
        return self._change(partial(_without_exchange, name=name, if_unused=if_unused))

    def bind(self, binding: BindingSpec) -> None:
        """Add the binding unless it exists."""
        self._change(partial(_with_binding, binding=binding))

    def unbind(self, binding: BindingSpec) -> None:
        """Remove the binding if it exists."""
        self._change(partial(_without_binding, binding=binding))

    def _change(self, edit: Callable[[Topology], Topology]) -> bool:
        """Whether there was anything to change."""
        try:
            return retry(lambda: self._change_once(edit), catch=_LostRace, policy=_PATIENCE)
        except _LostRace:
            raise OperationalError(
                f"transport {self.capabilities.name!r}: exchanges, queues and bindings kept changing:"
                f" nothing declared or deleted after {_RETRIES + 1} attempts; try again"
            ) from None

    def _change_once(self, edit: Callable[[Topology], Topology]) -> bool:
        text, revision = self.read_document()
        before = read_topology(text, self.capabilities.name)
        after = edit(before)
        if after is before:
            return False
        after = replace(after, version=random.getrandbits(63))
        if not self.write_document(written(after), after.version, revision):
            raise _LostRace
        return True


class _LostRace(Exception):
    """Another change of the document came first."""


@lru_cache(maxsize=8)
def read_topology(text: str, transport: str) -> Topology:
    """The document as a value; empty text is a topology that never changed.

    Raises :class:`OperationalError` for a format that this release does not know, and :class:`InconsistencyError` for
    what is no such document.
    """
    if not text:
        return Topology()
    try:
        document = cast(dict[str, Any], json.loads(text))
        found = document.pop("format")
        if found == FORMAT:
            return _topology(**document)
    except (DecodeError, AttributeError, KeyError, TypeError) as error:
        raise InconsistencyError(
            f"transport {transport!r}: its document of exchanges, queues and bindings is damaged ({error!r});"
            " restore it, or remove it and declare everything again"
        ) from error
    raise OperationalError(
        f"transport {transport!r}: its document of exchanges, queues and bindings has format {found!r}, and this"
        f" release of Kombu reads format {FORMAT}: upgrade Kombu here"
    )


def written(topology: Topology) -> str:
    """The document of it: JSON text, with the version in it."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": topology.version,
            "exchanges": list(topology.exchanges.values()),
            "queues": list(topology.queues.values()),
            "bindings": topology.bindings,
        }
    )


def _topology(
    version: int, exchanges: list[dict[str, Any]], queues: list[dict[str, Any]], bindings: list[dict[str, Any]]
) -> Topology:
    return Topology(
        version=version,
        exchanges={each["name"]: ExchangeSpec(**each) for each in exchanges},
        queues={each["name"]: QueueSpec(**each) for each in queues},
        bindings=tuple(BindingSpec(**each) for each in bindings),
    )


def _with_queue(topology: Topology, queue: QueueSpec) -> Topology:
    if queue.name in topology.queues:
        return topology
    return replace(topology, queues={**topology.queues, queue.name: queue})


def _without_queue(topology: Topology, name: str) -> Topology:
    if name not in topology.queues:
        return topology
    queues = {each: spec for each, spec in topology.queues.items() if each != name}
    bindings = tuple(each for each in topology.bindings if each.to_exchange or each.destination != name)
    return replace(topology, queues=queues, bindings=bindings)


def _with_exchange(topology: Topology, exchange: ExchangeSpec) -> Topology:
    if exchange.name in topology.exchanges:
        return topology
    return replace(topology, exchanges={**topology.exchanges, exchange.name: exchange})


def _without_exchange(topology: Topology, name: str, if_unused: bool) -> Topology:
    if name not in topology.exchanges or (if_unused and name in topology.by_source):
        return topology
    exchanges = {each: spec for each, spec in topology.exchanges.items() if each != name}
    bindings = tuple(
        each for each in topology.bindings if name not in (each.source, each.to_exchange and each.destination)
    )
    return replace(topology, exchanges=exchanges, bindings=bindings)


def _with_binding(topology: Topology, binding: BindingSpec) -> Topology:
    if any(_same(binding, each) for each in topology.bindings):
        return topology
    return replace(topology, bindings=(*topology.bindings, binding))


def _without_binding(topology: Topology, binding: BindingSpec) -> Topology:
    bindings = tuple(each for each in topology.bindings if not _same(binding, each))
    return topology if len(bindings) == len(topology.bindings) else replace(topology, bindings=bindings)


def _same(one: BindingSpec, other: BindingSpec) -> bool:
    return one.destination == other.destination and _identity(one) == _identity(other)


def _identity(binding: BindingSpec) -> str:
    """As JSON 1 is not True, and a tuple is the list that it becomes."""
    return json.dumps(replace(binding, arguments=dict(sorted(binding.arguments.items()))))
