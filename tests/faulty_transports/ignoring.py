"""Transports that take what is declared for granted, and forget it."""

from __future__ import annotations

from typing import Any, ClassVar

from kombu.transport.base import QueueDeclared
from kombu.transport.virtual import Channel, VirtualConnection
from tests.faulty_transports.base import Faulty


class Ignores(Faulty):
    """Takes ``names`` for granted when they are declared, and forgets them."""

    names: ClassVar[tuple[str, ...]] = ()

    def establish_connection(self) -> VirtualConnection:
        names = self.names

        class Ignoring(Channel):
            def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
                return super().queue_declare(queue, **without(options))

            def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
                super().exchange_declare(exchange, type, **without(options))

            def basic_consume(self, queue: str, **options: Any) -> str:
                return super().basic_consume(queue, **without(options))

        def without(options: dict[str, Any]) -> dict[str, Any]:
            kept = {name: value for name, value in options.items() if name not in names}
            if arguments := kept.get("arguments"):
                kept["arguments"] = {name: value for name, value in arguments.items() if name not in names}
            return kept

        self.Fault = Ignoring  # type: ignore[misc]
        return super().establish_connection()


class IgnoresPriority(Ignores):
    names = ("x-max-priority",)


class IgnoresQueueTtl(Ignores):
    names = ("x-message-ttl",)


class IgnoresQueueExpiry(Ignores):
    names = ("x-expires",)


class IgnoresMaxLength(Ignores):
    names = ("x-max-length",)


class IgnoresMaxBytes(Ignores):
    names = ("x-max-length-bytes",)


class DropsInsteadOfRefusing(Ignores):
    names = ("x-overflow",)


class IgnoresDeadLetterExchange(Ignores):
    names = ("x-dead-letter-exchange", "x-dead-letter-routing-key")


class IgnoresDeadLetterRoutingKey(Ignores):
    names = ("x-dead-letter-routing-key",)


class IgnoresDeliveryLimit(Ignores):
    names = ("x-delivery-limit",)


class IgnoresSingleActiveConsumer(Ignores):
    names = ("x-single-active-consumer",)


class IgnoresConsumerPriority(Ignores):
    names = ("x-priority",)


class IgnoresAlternateExchange(Ignores):
    names = ("alternate-exchange",)


class IgnoresExclusive(Ignores):
    names = ("exclusive",)


class IgnoresAutoDelete(Ignores):
    names = ("auto_delete",)
