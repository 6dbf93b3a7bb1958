"""Bindings as the filter policies of SNS: pure functions, and what they cannot say.

A topic stands for an exchange, and a subscription for all bindings of a queue to it. SNS filters by the attribute
``kombu.key``, the routing key: by a whole value, by how it begins, or by how it ends
(https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html). So ``order.#`` and ``#.created`` can be said,
and ``order.*.created`` cannot: what such a binding lets through goes from the publisher to each queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kombu.transport.sqs.names import is_fifo
from kombu.transport.sqs.wire import KEY
from kombu.transport.virtual.topology import BindingSpec, Topology
from kombu.utils import json

_MOST_VALUES = 150
_SPEAKABLE = re.compile(r"[A-Za-z0-9_.:/@+-]{1,200}\Z")
"""Keys whose characters nobody has to escape."""

_SUBSCRIBED = ("fanout", "direct", "topic")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscription lets through: everything, or keys that are, begin or end as is said here."""

    everything: bool = False
    exact: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()
    suffixes: frozenset[str] = frozenset()

    def lets_through(self, key: str) -> bool:
        return (
            self.everything
            or key in self.exact
            or any(key.startswith(each) for each in self.prefixes)
            or any(key.endswith(each) for each in self.suffixes)
        )

    def __or__(self, other: Filter) -> Filter:
        return Filter(
            self.everything or other.everything,
            self.exact | other.exact,
            self.prefixes | other.prefixes,
            self.suffixes | other.suffixes,
        )

    @property
    def says_something(self) -> bool:
        return self.everything or bool(self.exact or self.prefixes or self.suffixes)

    @property
    def policy(self) -> str:
        """SNS's FilterPolicy; one without conditions filters nothing."""
        if self.everything:
            return "{}"
        values: list[object] = [*sorted(self.exact)]
        values += [{"prefix": each} for each in sorted(self.prefixes)]
        values += [{"suffix": each} for each in sorted(self.suffixes)]
        return json.dumps({KEY: values})

    @property
    def fits(self) -> bool:
        return len(self.exact) + len(self.prefixes) + len(self.suffixes) <= _MOST_VALUES


NOTHING = Filter()


def wanted(topology: Topology) -> dict[str, dict[str, Filter]]:
    """The subscriptions of each exchange, by queue, as far as SNS can say them."""
    found: dict[str, dict[str, Filter]] = {}
    for exchange, bindings in topology.by_source.items():
        spec = topology.exchange(exchange)
        if spec is None or spec.type not in _SUBSCRIBED:
            continue
        filters = _by_queue(spec.type, bindings)
        said = {queue: each for queue, each in filters.items() if each.says_something and each.fits}
        if said:
            found[exchange] = said
    return found


def _by_queue(type: str, bindings: Iterable[BindingSpec]) -> dict[str, Filter]:
    filters: dict[str, Filter] = {}
    for binding in bindings:
        if not binding.to_exchange and not is_fifo(binding.destination):
            before = filters.get(binding.destination, NOTHING)
            filters[binding.destination] = before | as_filter(type, binding.routing_key)
    return filters


def as_filter(type: str, key: str) -> Filter:
    """One binding; what SNS cannot say lets nothing through there."""
    if type == "fanout" or (type == "topic" and key == "#"):
        return Filter(everything=True)
    if not _SPEAKABLE.match(key.replace("#", "").replace("*", "") or "-"):
        return NOTHING
    if type == "direct" or not {"*", "#"} & set(key.split(".")):
        return Filter(exact=frozenset({key})) if _SPEAKABLE.match(key) else NOTHING
    head, _, tail = key.partition("#")
    if "*" in key.split(".") or "#" in tail:
        return NOTHING
    if head.endswith(".") and not tail:
        return Filter(exact=frozenset({head[:-1]}), prefixes=frozenset({head}))
    if tail.startswith(".") and not head:
        return Filter(exact=frozenset({tail[1:]}), suffixes=frozenset({tail}))
    return NOTHING


def reached(filters: Mapping[str, Filter], key: str) -> set[str]:
    """The queues that SNS gives a message with this key to."""
    return {queue for queue, each in filters.items() if each.lets_through(key)}
