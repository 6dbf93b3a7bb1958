"""What becomes of a message that its queue will not deliver: pure functions (https://www.rabbitmq.com/docs/dlx)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from kombu.transport.base import Content, Publication
from kombu.transport.virtual.head import Head, decode_head, encode_head
from kombu.transport.virtual.store import Delivery, Envelope, QueueSpec

Reason = Literal["rejected", "expired", "delivery_limit", "maxlen"]


def may_refuse(queue: QueueSpec) -> bool:
    """Whether there can be another reason than its age not to deliver a message of this queue."""
    return "x-delivery-limit" in queue.arguments


def reason_not_to_deliver(delivery: Delivery, queue: QueueSpec | None) -> Reason | None:
    """Why a claimed message must not reach a consumer, if so."""
    if delivery.expired:
        return "expired"
    limit = queue.arguments.get("x-delivery-limit") if queue else None
    if isinstance(limit, int) and delivery.delivery_count > limit + 1:
        return "delivery_limit"
    return None


def dead_letter_target(queue: QueueSpec, head: Head) -> tuple[str, str] | None:
    """The exchange and routing key for what ``queue`` refuses; None where it names no dead-letter exchange."""
    exchange = queue.arguments.get("x-dead-letter-exchange")
    if not isinstance(exchange, str):
        return None
    key = queue.arguments.get("x-dead-letter-routing-key")
    return exchange, key if isinstance(key, str) else head.routing_key


def dead_lettered(
    delivery: Delivery,
    reason: Reason,
    target: tuple[str, str],
    because: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Publication:
    """The message for its new place; the header x-death says where it came from and why.

    It loses its expiration, so that it does not expire again there; x-death keeps it.
    """
    head = decode_head(delivery.head)
    properties = dict(head.properties)
    death: dict[str, Any] = {
        "queue": delivery.lease.queue,
        "reason": reason,
        "exchange": head.exchange,
        "routing-keys": [head.routing_key],
        "time": int(clock()),
    }
    if "expiration" in properties:
        death["original-expiration"] = properties.pop("expiration")
    headers = dict(head.headers)
    headers["x-death"] = _deaths(headers.get("x-death"), death)
    for name in ("queue", "reason", "exchange"):
        headers.setdefault(f"x-first-death-{name}", death[name])
    headers.pop("x-rejected-because", None)
    if because is not None:
        headers["x-rejected-because"] = because
    described = {
        "content_type": head.content_type,
        "content_encoding": head.content_encoding,
        "headers": headers,
    }
    return Publication(Content(delivery.body, {**properties, **described}), *target)


def without_cycles(queues: tuple[str, ...], dead: Publication) -> tuple[str, ...]:
    """Leave out the queues that the message has been in, unless somebody rejected it since then.

    Otherwise it would go round for ever (https://www.rabbitmq.com/docs/dlx#routing).
    """
    headers: Any = dead.content.properties["headers"]
    seen: set[str] = set()
    for death in headers["x-death"]:
        if death.get("reason") == "rejected":
            break
        seen.add(str(death.get("queue")))
    return tuple(queue for queue in queues if queue not in seen)


def _deaths(deaths: object, latest: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of deaths, latest first; the same queue and reason again raises a count."""
    known = [death for death in deaths if isinstance(death, dict)] if isinstance(deaths, list) else []
    same = [d for d in known if d.get("queue") == latest["queue"] and d.get("reason") == latest["reason"]]
    counts = (death.get("count") for death in same)
    latest["count"] = sum(count if isinstance(count, int) else 1 for count in counts) + 1
    return [latest, *(death for death in known if death not in same)]


def restored(delivery: Delivery) -> tuple[str, Envelope]:
    """The queue that a dead letter came from last, and the message as it was there; delivered anew at once.

    A message that is no dead letter stays in its queue. The header x-death is kept, so that its story can be read.
    """
    head = decode_head(delivery.head)
    queue, exchange, routing_key = delivery.lease.queue, head.exchange, head.routing_key
    match head.headers.get("x-death"):
        case [{"queue": str(last_queue), "exchange": str(source), "routing-keys": [str(key), *_]}, *_]:
            queue, exchange, routing_key = last_queue, source, key
    described = {"content_type": head.content_type, "content_encoding": head.content_encoding, "headers": head.headers}
    text = encode_head(exchange, routing_key, {**head.properties, **described})
    return queue, Envelope(head=text, body=delivery.body, priority=delivery.priority)
