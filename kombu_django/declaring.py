"""Declares what the registered consumers need, so that no message is published past a queue that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kombu.entity import Exchange, Queue
from kombu.transport.base import Channel
from kombu.transport.virtual import Channel as VirtualChannel
from kombu.transport.virtual.topology import Topology
from kombu_django.registry import registry


class Declarer:
    """Declares the queues of one connection's consumers, once for each state of the topology."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._seen: object = None

    def declare(self, channel: Channel) -> None:
        """Make sure that everything is there; costs nothing while the topology is the one last seen.

        Where publishing on the channel finds that the topology moved, this happens again before it goes on.
        """
        if isinstance(channel, VirtualChannel):
            channel.connection.on_topology_moved = partial(self._declare, channel)
        self._declare(channel)

    def _declare(self, channel: Channel) -> None:
        seen = _state(channel)
        if seen is not None and seen == self._seen:
            return
        queues = [queue for handler in registry.handlers(self._using) for queue in handler.queues()]
        for queue in queues:
            if not _is_there(channel, queue):
                queue.declare(channel=channel)
        self._seen = _state(channel)


def _state(channel: Channel) -> object:
    """What changes when the topology does: its version, or the channel itself where the broker tells none."""
    if not isinstance(channel, VirtualChannel):
        return channel
    topology = channel.connection.current_topology()
    return None if topology.provisional else topology.version


def _is_there(channel: Channel, queue: Queue) -> bool:
    if not isinstance(channel, VirtualChannel):
        return False
    return _has(channel.connection.current_topology(), queue)


def _has(topology: Topology, queue: Queue) -> bool:
    existing = topology.queues.get(queue.name)
    if existing is None or existing.arguments != queue.arguments:
        return False
    here = [b for b in topology.bindings if b.destination == queue.name and not b.to_exchange]
    bound = [(b.source, b.routing_key, dict(b.arguments)) for b in here]
    return all(source in bound and topology.exchange(source[0]) is not None for source in _sources(queue))


def _sources(queue: Queue) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Exchange, routing key and arguments of each binding that the queue is to have."""
    if isinstance(queue.exchange, Exchange) and queue.exchange.name:
        yield queue.exchange.name, queue.routing_key, queue.binding_arguments
    for binding in queue.bindings:
        if binding.exchange is not None and binding.exchange.name:
            yield binding.exchange.name, binding.routing_key, binding.arguments
