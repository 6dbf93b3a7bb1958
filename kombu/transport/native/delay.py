"""Delayed delivery on a RabbitMQ without plug-ins: a message walks down a stair of queues that each hold it for a time.

There is a level for each bit of the delay in milliseconds: exchange and queue ``kombu.delay.7`` hold a message for
2**7 ms if bit 7 of its delay is set, and pass it on at once if not. A level's queue has one time to live for all its
messages, so they leave it in the order they came, and none waits for another. ``kombu.delay.due`` takes what has come
down and leads to the queue or exchange it is for. Exchanges are of the type headers, since those look neither at the
routing key, which stays the message's own, nor change it. Dead-lettering carries a message from level to level: all of
it is the broker's work, in durable queues, and nobody has to run.

Where a message is bound for is a binding of ``kombu.delay.due``, made anew with each publish, so that it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

from kombu.exceptions import NotSupported
from kombu.transport.base import Content, Publication

__all__ = [
    "DUE",
    "PREFIX",
    "BindStep",
    "DeclareStep",
    "bindings",
    "check_delayed",
    "delayed",
    "requeued",
    "restore",
    "stairs",
    "top_level",
    "without_traces",
]

PREFIX = "kombu.delay."
DUE = f"{PREFIX}due"
LEVELS = 32
"""RabbitMQ's longest time to live is 2**32 - 1 ms."""

MAX_DELAY = (2**LEVELS - 1) / 1000
"""Seconds: 49 days and 17 hours."""

TO_QUEUE = "kombu-to-queue"
TO_EXCHANGE = "kombu-to-exchange"
FROM_EXCHANGE = "kombu-from-exchange"
DELIVERIES = "kombu-deliveries"
_OURS = ("kombu-delay-", TO_QUEUE, TO_EXCHANGE, FROM_EXCHANGE, DELIVERIES)
"""What the names of our headers begin with. Not with x-, which headers exchanges do not look at."""

_FIRST_DEATH = ("x-first-death-queue", "x-first-death-reason", "x-first-death-exchange")


@dataclass(frozen=True, slots=True)
class DeclareStep:
    """A durable headers exchange of this name; and a queue of the same name, where ``arguments`` are given."""

    name: str
    arguments: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class BindStep:
    """What comes to exchange ``source`` with these headers goes to ``destination``."""

    source: str
    destination: str
    to_exchange: bool
    arguments: Mapping[str, object]


def top_level(delay: float) -> int:
    """Where a message with this delay, in seconds, begins. Under half a millisecond it is none: -1."""
    return _milliseconds(delay).bit_length() - 1


@cache
def stairs(top: int) -> tuple[DeclareStep | BindStep, ...]:
    """What has to be there for messages that begin at this level, in the order in which it can be declared."""
    steps: list[DeclareStep | BindStep] = [DeclareStep(DUE)]
    for level in range(top + 1):
        name, below = f"{PREFIX}{level}", DUE if level == 0 else f"{PREFIX}{level - 1}"
        steps += (
            DeclareStep(name, {"x-message-ttl": 1 << level, "x-dead-letter-exchange": below}),
            BindStep(name, name, False, _matching(f"kombu-delay-{level}", True)),
            BindStep(name, below, True, _matching(f"kombu-delay-{level}", False)),
        )
    return tuple(steps)


def bindings(publications: Iterable[Publication]) -> list[BindStep]:
    """Of :data:`DUE`, each once, for messages that :func:`delayed` made."""
    found: dict[tuple[str, object], BindStep] = {}
    for publication in publications:
        headers: Any = publication.content.properties["headers"]
        for name, to_exchange in ((TO_QUEUE, False), (TO_EXCHANGE, True)):
            if name in headers:
                step = BindStep(DUE, headers[name], to_exchange, _matching(name, headers[name]))
                found[name, headers[name]] = step
    return list(found.values())


def check_delayed(publication: Publication, transport: str) -> None:
    """Raises for what cannot be kept of a message that is delayed."""
    delay = publication.delay
    if not 0 <= delay <= MAX_DELAY:
        raise NotSupported(
            f"delay={delay:g} s: transport {transport!r} keeps messages back for {MAX_DELAY:.0f} s"
            f" ({MAX_DELAY / 86400:.0f} days) at most"
        )
    if publication.content.properties.get("expiration") is not None:
        raise NotSupported(
            f"delay={delay:g} s: transport {transport!r} keeps no expiration of a delayed message, since RabbitMQ"
            " removes it; use the queue's x-message-ttl"
        )
    if publication.mandatory and publication.exchange:
        raise NotSupported(
            f"delay={delay:g} s: transport {transport!r} cannot tell if a mandatory message will reach a queue through"
            f" exchange {publication.exchange!r} then; publish it to a queue by the default exchange"
        )


def delayed(publication: Publication) -> Publication:
    """The same message at the top of its stairs. ``mandatory``, so that it comes back if those are not there."""
    exchange, routing_key = publication.exchange, publication.routing_key
    to = {TO_EXCHANGE: exchange} if exchange else {TO_QUEUE: routing_key}
    return _on_its_way(publication, to)


def requeued(
    content: Content, exchange: str, routing_key: str, queue: str, delay: float, deliveries: int | None
) -> Publication:
    """A message that comes to ``queue`` again, and says that it was delivered: ``deliveries`` times, where counted.

    Its time to live is over: it came in time.
    """
    properties = {name: value for name, value in content.properties.items() if name != "expiration"}
    publication = Publication(Content(content.body, properties), exchange, routing_key, delay=delay)
    return _on_its_way(publication, {TO_QUEUE: queue, FROM_EXCHANGE: exchange, DELIVERIES: deliveries or 0})


def restore(headers: MutableMapping[str, Any], delivery_info: MutableMapping[str, Any]) -> None:
    """Make a delivery that came down the stairs look as if it had not: no headers of ours, its own exchange."""
    if FROM_EXCHANGE in headers:
        delivery_info["exchange"] = headers[FROM_EXCHANGE]
    elif TO_EXCHANGE in headers or TO_QUEUE in headers:
        delivery_info["exchange"] = headers.get(TO_EXCHANGE, "")
    before = headers.get(DELIVERIES)
    if isinstance(before, int) and not isinstance(before, bool):
        delivery_info["redelivered"] = True
        count = delivery_info.pop("delivery_count", None)
        if before and count is not None:
            delivery_info["delivery_count"] = before + count
    kept = without_traces(headers)
    headers.clear()
    headers.update(kept)


def without_traces(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers without ours, and without the deaths on the stairs, which would make RabbitMQ see a circle."""
    kept = {name: value for name, value in headers.items() if not name.startswith(_OURS)}
    deaths = kept.get("x-death")
    if isinstance(deaths, list):
        kept["x-death"] = [death for death in deaths if not _on_the_stairs(death)]
        if not kept["x-death"]:
            del kept["x-death"]
    if str(kept.get("x-first-death-queue", "")).startswith(PREFIX):
        for name in _FIRST_DEATH:
            kept.pop(name, None)
    return kept


def _on_its_way(publication: Publication, to: Mapping[str, object]) -> Publication:
    (body, properties), _, routing_key, _, delay = publication
    rest = _milliseconds(delay)
    top = rest.bit_length() - 1
    given: Any = properties.get("headers") or {}
    headers = {**without_traces(given), **{f"kombu-delay-{n}": bool(rest >> n & 1) for n in range(top + 1)}, **to}
    where = f"{PREFIX}{top}" if top >= 0 else DUE
    return Publication(Content(body, {**properties, "headers": headers}), where, routing_key, mandatory=True)


def _milliseconds(delay: float) -> int:
    return ceil(delay * 1000 - 0.5)


def _matching(name: str, value: object) -> dict[str, object]:
    return {"x-match": "all", name: value}


def _on_the_stairs(death: object) -> bool:
    return isinstance(death, dict) and str(death.get("queue", "")).startswith(PREFIX)
