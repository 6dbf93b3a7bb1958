"""Which queues a message reaches: pure functions over the topology (AMQP 0-9-1, section 3.1.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kombu.exceptions import NotFound
from kombu.transport.base import Content, Publication
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import DEFAULT_EXCHANGE, BindingSpec, ExchangeSpec, Topology

EXCHANGE_TYPES = ("direct", "topic", "fanout", "headers")
HEADERS_RULES = ("all", "any", "all-with-x", "any-with-x")
_CACHED_ROUTES = 10_000


class Target(NamedTuple):
    """A queue that a message reaches, with what it makes of priorities and times to live (seconds)."""

    queue: str
    max_priority: int
    ttl: float | None


class Router:
    """Routes by one state of the topology, remembering the answers that do not depend on headers.

    ``limited`` are the queues that drop what is too much.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.limited = frozenset(spec.name for spec in topology.queues.values() if _limited(spec))
        self._targets: dict[str, Target] = {}
        self._routes: dict[tuple[str, str], tuple[Target, ...]] = {}
        self._by_headers = any(
            exchange is not None and exchange.type == "headers"
            for exchange in map(topology.exchange, {binding.source for binding in topology.bindings})
        )

    def targets(self, publication: Publication) -> tuple[Target, ...]:
        """The queues, each once. Raises :class:`NotFound` for an exchange that is not declared."""
        content, exchange, routing_key, _, _ = publication
        if self._by_headers:
            return self._found(exchange, routing_key, _headers(content))
        found = self._routes.get((exchange, routing_key))
        if found is None:
            if len(self._routes) >= _CACHED_ROUTES:
                self._routes.clear()
            found = self._routes[exchange, routing_key] = self._found(exchange, routing_key, {})
        return found

    def _found(self, exchange: str, routing_key: str, headers: Mapping[str, object]) -> tuple[Target, ...]:
        return tuple(map(self.target, route(self.topology, exchange, routing_key, headers)))

    def target(self, queue: str) -> Target:
        """The queue of this name, which is in the topology."""
        found = self._targets.get(queue)
        if found is None:
            spec = self.topology.queues[queue]
            ttl = spec.arguments.get("x-message-ttl")
            seconds = ttl / 1000 if isinstance(ttl, int) else None
            found = self._targets[queue] = Target(queue, spec.max_priority, seconds)
        return found


def _headers(content: Content) -> Mapping[str, object]:
    headers = content.properties.get("headers")
    return headers if isinstance(headers, dict) else {}


def _limited(queue: QueueSpec) -> bool:
    return not queue.refuses_when_full and (queue.max_length is not None or queue.max_bytes is not None)


def route(topology: Topology, exchange: str, routing_key: str, headers: Mapping[str, object]) -> tuple[str, ...]:
    """The queues that a message published to ``exchange`` reaches, each once, in binding order.

    An exchange that routes nowhere hands over to its ``alternate-exchange``
    (https://www.rabbitmq.com/docs/ae). Raises :class:`NotFound` when ``exchange`` is not declared.
    """
    if exchange != DEFAULT_EXCHANGE and topology.exchange(exchange) is None:
        raise NotFound(f"no exchange {exchange!r}: declare it before publishing to it")
    return tuple(dict.fromkeys(_walk(topology, exchange, routing_key, headers, set())))


def _walk(
    topology: Topology, exchange: str, routing_key: str, headers: Mapping[str, object], seen: set[str]
) -> Iterator[str]:
    if exchange in seen:
        return
    seen.add(exchange)
    if exchange == DEFAULT_EXCHANGE:
        if routing_key in topology.queues:
            yield routing_key
        return
    spec = topology.exchange(exchange)
    if spec is None:
        return
    matched = False
    for binding in topology.by_source.get(exchange, ()):
        if not matches(spec, binding, routing_key, headers):
            continue
        matched = True
        if binding.to_exchange:
            yield from _walk(topology, binding.destination, routing_key, headers, seen)
        elif binding.destination in topology.queues:
            yield binding.destination
    alternate = spec.arguments.get("alternate-exchange")
    if not matched and isinstance(alternate, str):
        yield from _walk(topology, alternate, routing_key, headers, seen)


def matches(exchange: ExchangeSpec, binding: BindingSpec, routing_key: str, headers: Mapping[str, object]) -> bool:
    """Whether one binding lets a message through."""
    match exchange.type:
        case "fanout":
            return True
        case "direct":
            return binding.routing_key == routing_key
        case "topic":
            return topic_matches(binding.routing_key, routing_key)
        case _:
            return headers_match(binding.arguments, headers)


def topic_matches(binding_key: str, routing_key: str) -> bool:
    """``*`` stands for exactly one word, ``#`` for any number of them, words are parted by dots.

    Follows the binding key word by word with the set of places in the routing key it can have reached.
    """
    words = _words(routing_key)
    reached = {0}
    for wanted in _words(binding_key):
        if wanted == "#":
            reached = set(range(min(reached), len(words) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(words) and wanted in ("*", words[at])}
        if not reached:
            return False
    return len(words) in reached


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def headers_match(wanted: Mapping[str, object], headers: Mapping[str, object]) -> bool:
    """The headers exchange's rule: ``x-match`` is all (default), any, all-with-x or any-with-x.

    Keys that begin with ``x-`` count only for the last two; a value of None asks for the key alone
    (AMQP 0-9-1, section 3.1.3.4; https://www.rabbitmq.com/docs/exchanges#headers).
    """
    rule = str(wanted.get("x-match", "all"))
    with_x = rule.endswith("-with-x")
    pairs = {key: value for key, value in wanted.items() if key != "x-match" and (with_x or not key.startswith("x-"))}
    hits = (key in headers and (value is None or headers[key] == value) for key, value in pairs.items())
    return any(hits) if rule.startswith("any") else all(hits)
