"""``publish``: safe inside a transaction, whatever the broker is."""

from __future__ import annotations

from typing import Any

from kombu.entity import Exchange
from kombu.producer import Producer
from kombu.transport.base import Publication
from kombu_django import outbox
from kombu_django.conf import DEFAULT_ALIAS, get_config
from kombu_django.connections import Link, link


def publish(
    body: Any,
    *,
    exchange: Exchange | str = "",
    routing_key: str = "",
    key: object = None,
    using: str = DEFAULT_ALIAS,
    **options: Any,
) -> None:
    """Publish ``body`` through the connection ``using`` of ``settings.KOMBU``.

    Inside ``transaction.atomic()`` of the connection's ``DATABASE`` the message is part of the transaction: when
    it rolls back, nobody ever sees it. The queue's own database stores it directly; for any other broker it goes
    to the outbox table, from where ``manage.py kombu_relay`` carries it on, in the order of publishing (``key`` is
    kept with it, to find it by). With ``OUTBOX: False`` another broker is published to at once, whatever becomes
    of the transaction.

    ``options`` are those of :meth:`kombu.producer.Producer.publish`: ``delay``, ``expiration``, ``priority``,
    ``headers``, ``serializer``, ``mandatory``, ``message_id``, … Raises
    :class:`~kombu.exceptions.EncodeError` for a body that cannot be serialised,
    :class:`~kombu.exceptions.NotFound` for an exchange that nobody declared, and
    :class:`~kombu.exceptions.OperationalError` when it could not be stored. What the broker refuses after it went
    through the outbox stays there, with the error, for the admin to see.
    """
    config = get_config(using)
    if key is not None:
        options["headers"] = {**(options.get("headers") or {}), "x-key": str(key)}
    publication = _prepare(body, exchange, routing_key, options)
    if config.outbox:
        outbox.write(config, publication, "" if key is None else str(key))
    else:
        _send(link(using), exchange, publication)


def _prepare(body: Any, exchange: Exchange | str, routing_key: str, options: dict[str, Any]) -> Publication:
    return _unbound.prepare(body, exchange=exchange, routing_key=routing_key, **options)


def _send(target: Link, exchange: Exchange | str, publication: Publication) -> None:
    channel = target.channel
    if isinstance(exchange, Exchange):
        exchange.declare(channel=channel)
    channel.publish_batch([publication])


def _no_channel() -> Any:
    raise AssertionError("this producer only prepares messages")


_unbound = Producer(_no_channel, auto_declare=False)
"""Turns bodies into publications; publishes nothing itself."""
