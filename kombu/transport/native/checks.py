"""What may be declared and published on RabbitMQ: what it would ignore or cut silently is refused here, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kombu.exceptions import AccessRefused, NotSupported, PreconditionFailed
from kombu.transport.base import Arguments, Publication
from kombu.transport.native.tables import MAX_SHORT

__all__ = [
    "check_arguments",
    "check_consumer",
    "check_exchange",
    "check_header_size",
    "check_name",
    "check_publication",
    "check_qos",
    "check_queue",
    "wire_name",
]

_LINE_ENDS = str.maketrans({"\n": "\u2424", "\r": "\u240d"})
_QUORUM_ONLY = ("x-delivery-limit", "x-dead-letter-strategy", "x-quorum-initial-group-size")
_STREAM_ONLY = ("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size")
_NOT_OF_A_STREAM = (
    "x-message-ttl",
    "x-expires",
    "x-max-length",
    "x-overflow",
    "x-max-priority",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-single-active-consumer",
)
_NOT_OF_A_QUORUM_QUEUE = ("x-max-priority",)
_KNOWN = {
    "queue": (
        *_QUORUM_ONLY,
        *_STREAM_ONLY,
        *_NOT_OF_A_STREAM,
        "x-consumer-timeout",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-max-length-bytes",
        "x-queue-leader-locator",
        "x-queue-master-locator",
        "x-queue-mode",
        "x-queue-type",
        "x-queue-version",
        "x-quorum-target-group-size",
        "x-stream-filter-size-bytes",
    ),
    "exchange": ("alternate-exchange", "x-delayed-type", "x-recent-history-length"),
    "consumer of queue": (
        "x-cancel-on-ha-failover",
        "x-credit",
        "x-priority",
        "x-stream-filter",
        "x-stream-match-unfiltered",
        "x-stream-offset",
    ),
}
"""Arguments that a RabbitMQ with the plug-ins that come with it knows. What begins otherwise is passed on."""


def wire_name(name: str) -> str:
    """The name of a queue or an exchange as it is declared: RabbitMQ would drop the line ends in it, here each is the
    character that stands for one (␤, ␍)."""
    return name if name.isprintable() else name.translate(_LINE_ENDS)


def check_name(kind: str, name: str) -> None:
    """Raises for a name that AMQP cannot carry."""
    if not isinstance(name, str):
        raise PreconditionFailed(f"{kind} {name!r}: a name is text")
    if len(name) > MAX_SHORT // 4 and len(name.encode("utf-8", "replace")) > MAX_SHORT:
        raise PreconditionFailed(f"{kind} {name[:40]!r}…: a name has {MAX_SHORT} bytes at most, in UTF-8")


def check_exchange(
    transport: str, name: str, passive: bool, arguments: Arguments = None, more: Collection[str] = ()
) -> None:
    """Raises when it cannot be declared; ``more`` are arguments of plug-ins."""
    check_name("exchange", name)
    if passive:
        return
    if not name:
        raise AccessRefused("exchange '': a name is needed; the default exchange is always there")
    _check_known(transport, "exchange", name, arguments, more)


def check_queue(
    transport: str, name: str, exclusive: bool, durable: bool, arguments: Arguments, more: Collection[str] = ()
) -> None:
    """Raises for arguments that RabbitMQ would take and not keep (https://www.rabbitmq.com/docs/queues); ``more`` are
    those of plug-ins."""
    check_name("queue", name)
    _check_known(transport, "queue", name, arguments, more)
    given: Mapping[str, Any] = arguments or {}
    kind = given.get("x-queue-type", "classic")
    wrong: tuple[str, ...] = {"classic": (*_QUORUM_ONLY, *_STREAM_ONLY), "quorum": _STREAM_ONLY}.get(kind, ())
    if kind == "quorum":
        wrong += _NOT_OF_A_QUORUM_QUEUE
    if kind == "stream":
        wrong = (*_NOT_OF_A_STREAM, *_QUORUM_ONLY)
    for argument in wrong:
        if argument in given:
            hint = "; x-queue-type='quorum' has it" if argument in _QUORUM_ONLY and kind == "classic" else ""
            raise NotSupported(
                f"queue {name!r}: transport {transport!r} does not keep the argument {argument!r}"
                f" on a {kind} queue{hint}"
            )
    if kind == "quorum" and given.get("x-overflow") == "reject-publish-dlx":
        raise NotSupported(
            f"queue {name!r}: transport {transport!r} does not keep x-overflow='reject-publish-dlx' on a quorum queue,"
            " which would drop its oldest messages; it has 'reject-publish'"
        )
    if kind in ("quorum", "stream") and (exclusive or not durable):
        raise PreconditionFailed(f"queue {name!r}: a {kind} queue is durable and not exclusive")


def check_consumer(transport: str, queue: str, arguments: Arguments, more: Collection[str] = ()) -> None:
    """Raises for arguments that RabbitMQ would ignore."""
    _check_known(transport, "consumer of queue", queue, arguments, more)


def check_arguments(kind: str, name: str, arguments: Arguments) -> dict[str, object]:
    """Those of a declaration as AMQP wants them: whole floats are whole numbers."""
    made = dict(arguments or {})
    for argument, value in made.items():
        if isinstance(value, float) and value.is_integer():
            made[argument] = int(value)
    return made


def check_qos(prefetch_size: int, prefetch_count: int) -> None:
    """Raises for what RabbitMQ refuses by closing the connection."""
    if prefetch_size:
        raise NotSupported(f"prefetch_size={prefetch_size}: only prefetch_count is kept")
    if not 0 <= prefetch_count < 2**16:
        raise PreconditionFailed(f"prefetch_count={prefetch_count}: how many messages, up to 65535; 0 for the default")


def check_publication(publication: Publication) -> None:
    """Raises for what would end the connection instead of being refused."""
    if len(publication.routing_key) > MAX_SHORT // 4:
        size = len(publication.routing_key.encode("utf-8", "replace"))
        if size > MAX_SHORT:
            raise PreconditionFailed(f"a routing key has {MAX_SHORT} bytes at most, not {size}")


def check_header_size(size: int, frame_max: int) -> None:
    """Properties and headers go into one frame (AMQP 0-9-1, section 2.3.5.2). Raises where they do not fit."""
    if frame_max and size > frame_max - 8:
        raise PreconditionFailed(
            f"properties and headers of {size} bytes: the broker takes {frame_max - 8} at most; put them into the body"
        )


def _check_known(transport: str, kind: str, name: str, arguments: Arguments, more: Collection[str]) -> None:
    """RabbitMQ looks at no argument that it does not know, a misspelled one above all."""
    known = {*_KNOWN[kind], *more}
    for argument in arguments or {}:
        if argument.startswith("x-") and argument not in known:
            raise NotSupported(
                f"{kind} {name!r}: transport {transport!r} does not know the argument {argument!r}, only"
                f" {', '.join(sorted(known))}; for a plug-in's, the transport option plugin_arguments={argument}"
                " passes it on"
            )
