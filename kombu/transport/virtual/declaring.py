"""What may be declared: bad or unsupported arguments are refused here, with the name of what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import inf

from kombu.exceptions import AccessRefused, NotFound, NotSupported, PreconditionFailed
from kombu.preparing import check_text
from kombu.transport.base import Arguments
from kombu.transport.virtual.routing import EXCHANGE_TYPES, HEADERS_RULES
from kombu.transport.virtual.store import Attended, Capabilities, QueueSpec, Store
from kombu.transport.virtual.topology import PREDECLARED, BindingSpec, ExchangeSpec, Topology

MAX_NAME = 255
"""Characters in the name of a queue, an exchange or a routing key (AMQP 0-9-1: a short string)."""

_INTEGERS: Mapping[str, tuple[int, int | None]] = {
    "x-message-ttl": (0, None),
    "x-expires": (1, None),
    "x-max-length": (0, None),
    "x-max-length-bytes": (0, None),
    "x-max-priority": (0, 255),
    "x-delivery-limit": (0, None),
}
_CHOICES: Mapping[str, tuple[object, ...]] = {
    "x-overflow": ("drop-head", "reject-publish"),
    "x-single-active-consumer": (True, False),
}
_NAMES = ("x-dead-letter-exchange", "x-dead-letter-routing-key", "alternate-exchange")
_EXCHANGE_ARGUMENTS = frozenset({"alternate-exchange"})


def queue_spec(name: str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Arguments) -> QueueSpec:
    """The declared queue as a value."""
    return QueueSpec(
        name=name,
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=dict(arguments or {}),
    )


def check_exchange(exchange: ExchangeSpec, can: Capabilities) -> None:
    """Raises when the exchange cannot be declared on this transport."""
    _check_name("exchange", exchange.name)
    if exchange.name.startswith("amq.") and exchange.name not in PREDECLARED:
        raise AccessRefused(f"exchange {exchange.name!r}: names that begin with 'amq.' are reserved")
    if exchange.type not in EXCHANGE_TYPES:
        raise NotSupported(
            f"exchange {exchange.name!r}: transport {can.name!r} has no type {exchange.type!r},"
            f" only {', '.join(EXCHANGE_TYPES)}"
        )
    _check_known("exchange", exchange.name, exchange.arguments, _EXCHANGE_ARGUMENTS, can)
    _check_names("exchange", exchange.name, exchange.arguments)


def check_queue(queue: QueueSpec, store: Store) -> None:
    """Raises when the queue cannot be declared on this transport."""
    can = store.capabilities
    _check_name("queue", queue.name)
    for flag in ("exclusive", "auto_delete"):
        if getattr(queue, flag) and not isinstance(store, Attended):
            raise NotSupported(f"queue {queue.name!r}: transport {can.name!r} does not keep {flag}")
    _check_known("queue", queue.name, queue.arguments, can.queue_arguments, can)
    _check_names("queue", queue.name, queue.arguments)
    if "x-dead-letter-routing-key" in queue.arguments and "x-dead-letter-exchange" not in queue.arguments:
        raise PreconditionFailed(f"queue {queue.name!r}: x-dead-letter-routing-key needs x-dead-letter-exchange")
    for name, value in queue.arguments.items():
        low, high = _INTEGERS.get(name, (None, None))
        if low is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < low or (high and value > high):
            limits = f"{low} to {high}" if high is not None else f"{low} or more"
            raise PreconditionFailed(f"queue {queue.name!r}: {name}={value!r} must be a whole number, {limits}")
    for name, allowed in _CHOICES.items():
        if name in queue.arguments and queue.arguments[name] not in allowed:
            choices = ", ".join(map(repr, allowed))
            raise PreconditionFailed(f"queue {queue.name!r}: {name}={queue.arguments[name]!r} must be one of {choices}")
    if queue.max_priority > can.max_priority:
        raise NotSupported(
            f"queue {queue.name!r}: x-max-priority={queue.max_priority},"
            f" transport {can.name!r} has {can.max_priority} at most"
        )


def check_consumer(arguments: Arguments, can: Capabilities) -> None:
    """Raises for consumer arguments, of which no virtual transport keeps any yet."""
    for name in arguments or {}:
        raise NotSupported(f"consumer argument {name!r}: transport {can.name!r} does not keep it")


def check_delay(delay: float, can: Capabilities) -> None:
    """Raises when a message cannot be delayed that long."""
    if not 0 <= delay < inf:
        raise PreconditionFailed(f"delay={delay}: seconds from now, not negative and not for ever")
    if can.max_delay is not None and delay > can.max_delay:
        raise NotSupported(f"delay={delay}: transport {can.name!r} keeps {can.max_delay} seconds at most")


def check_same(kind: str, existing: QueueSpec | ExchangeSpec, wanted: QueueSpec | ExchangeSpec) -> None:
    """Raises :class:`PreconditionFailed` naming each difference (AMQP 0-9-1, reply code 406)."""
    different = [
        f"{field.name} is {getattr(existing, field.name)!r}, not {getattr(wanted, field.name)!r}"
        for field in fields(wanted)
        if getattr(existing, field.name) != getattr(wanted, field.name)
    ]
    if different:
        raise PreconditionFailed(f"{kind} {wanted.name!r} exists and is different: {'; '.join(different)}")


def check_ends(topology: Topology, binding: BindingSpec) -> None:
    """Raises :class:`NotFound` when what is to be bound does not exist."""
    if len(binding.routing_key) > MAX_NAME:
        raise PreconditionFailed(f"a routing key has {MAX_NAME} characters at most, not {len(binding.routing_key)}")
    check_text("routing_key", binding.routing_key)
    source = topology.exchange(binding.source)
    if source is None:
        raise NotFound(f"no exchange {binding.source!r}: declare it before binding to it")
    if source.type == "headers" and binding.arguments.get("x-match", "all") not in HEADERS_RULES:
        wrong = binding.arguments["x-match"]
        raise PreconditionFailed(f"x-match={wrong!r} must be one of {', '.join(HEADERS_RULES)}")
    found = topology.exchange if binding.to_exchange else topology.queues.get
    if found(binding.destination) is None:
        kind = "exchange" if binding.to_exchange else "queue"
        raise NotFound(f"no {kind} {binding.destination!r}: declare it before binding it")


def _check_name(kind: str, name: str) -> None:
    if not isinstance(name, str) or not name:
        raise AccessRefused(f"{kind} {name!r}: a name is needed; the default exchange is always there")
    if len(name) > MAX_NAME:
        raise PreconditionFailed(f"{kind} {name[:40]!r}…: a name has {MAX_NAME} characters at most, not {len(name)}")
    if "\x00" in name:
        raise PreconditionFailed(f"{kind} {name!r}: a name cannot have the character NUL")
    check_text(f"the name of the {kind}", name)


def _check_known(
    kind: str, name: str, arguments: Mapping[str, object], known: frozenset[str], can: Capabilities
) -> None:
    for argument in arguments:
        if argument not in known:
            raise NotSupported(
                f"{kind} {name!r}: transport {can.name!r} does not keep the argument {argument!r},"
                f" only {', '.join(sorted(known)) or 'none'}"
            )


def _check_names(kind: str, name: str, arguments: Mapping[str, object]) -> None:
    for argument in _NAMES:
        if argument in arguments and not isinstance(arguments[argument], str):
            raise PreconditionFailed(f"{kind} {name!r}: {argument}={arguments[argument]!r} must be a name")
