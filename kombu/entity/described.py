"""Queues from settings: a flat description, or the nested one that ``as_dict(recurse=True)`` gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kombu.entity.exchange import Exchange, binding

__all__ = ["options"]

_OF_EXCHANGE = {"exchange_type": "type", "exchange_arguments": "arguments", "delivery_mode": "delivery_mode"}
_OF_BOTH = ("durable", "auto_delete")
_OF_QUEUE = frozenset(
    {
        *("bindings", "on_declared", "exclusive", "no_ack", "alias", "passive", "no_declare", "expires", "message_ttl"),
        *("queue_arguments", "binding_arguments", "consumer_arguments"),
        *("max_length", "max_length_bytes", "max_priority"),
    }
)


def options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a queue. Raises ValueError for what is unknown or contradicts itself."""
    rest = {name: value for name, value in given.items() if value is not None}
    exchange = _exchange(rest)
    made = {"exchange": exchange, "routing_key": rest.pop("routing_key", "")}
    made["routing_key"] = rest.pop("binding_key", "") or made["routing_key"]
    for name in _OF_BOTH:
        both = rest.pop(name, None)
        own = rest.pop(f"queue_{name}", both)
        if own is not None:
            made[name] = own
    made["bindings"] = [_binding(each) for each in rest.pop("bindings", ())]
    if unknown := rest.keys() - _OF_QUEUE:
        raise ValueError(f"a queue has no option {', '.join(sorted(unknown))}")
    return {**rest, **made}


def _exchange(rest: dict[str, Any]) -> Exchange | None:
    """Takes what is about the exchange away, and leaves what is about the queue too."""
    found = {own: rest.pop(name) for name, own in _OF_EXCHANGE.items() if name in rest}
    for name in _OF_BOTH:
        value = rest.pop(f"exchange_{name}", None)
        if value is not None:
            found[name] = value
    exchange = rest.pop("exchange", None)
    if exchange is None or isinstance(exchange, (Exchange, Mapping)):
        if found:
            raise ValueError(f"the options of the exchange ({', '.join(sorted(found))}) need its name: exchange='…'")
        return Exchange(**exchange) if isinstance(exchange, Mapping) else exchange
    return Exchange(exchange, **{**{name: rest[name] for name in _OF_BOTH if name in rest}, **found})


def _binding(each: Any) -> binding:
    if not isinstance(each, Mapping):
        made: binding = each
        return made
    exchange = each.get("exchange")
    return binding(**{**each, "exchange": Exchange(**exchange) if isinstance(exchange, Mapping) else exchange})
