"""What a delivery says of its way: the delivery information of a message, from what RabbitMQ tells."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from kombu.transport.native.delay import DELIVERIES, TO_EXCHANGE, TO_QUEUE, restore

__all__ = ["delivery_info"]

_COUNT = "x-delivery-count"
"""How often a quorum queue has delivered it before (https://www.rabbitmq.com/docs/quorum-queues)."""


def delivery_info(
    headers: MutableMapping[str, Any],
    *,
    consumer_tag: str,
    exchange: str,
    routing_key: str,
    queue: str,
    redelivered: bool,
) -> dict[str, Any]:
    """``headers`` lose what the delay of a message has put there.

    ``delivery_count`` is left out where nobody knows: a classic queue tells only whether it is the first time.
    """
    info: dict[str, Any] = {
        "consumer_tag": consumer_tag,
        "exchange": exchange,
        "routing_key": routing_key,
        "queue": queue,
        "redelivered": redelivered,
    }
    before = headers.get(_COUNT)
    if isinstance(before, int):
        info["delivery_count"] = before + 1
    elif not redelivered:
        info["delivery_count"] = 1
    if TO_QUEUE in headers or TO_EXCHANGE in headers or DELIVERIES in headers:
        restore(headers, info)
    return info
