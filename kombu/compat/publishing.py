"""carrot's Publisher."""

from __future__ import annotations

from typing import Any

from kombu.compat.parts import Closing, exchange_of, set_given
from kombu.connection import Connection
from kombu.messaging import Producer
from kombu.transport.base import Channel

__all__ = ["Publisher"]


class Publisher(Closing):
    """Sends messages to an exchange, which it declares.

    Each argument that is left out is taken from the attribute of the same name, which a subclass may set.
    ``delivery_mode`` is 1 or ``"transient"``, 2 or ``"persistent"``.
    """

    exchange: str = ""
    routing_key: str = ""
    exchange_type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | str = "persistent"
    auto_declare: bool = True
    serializer: str | None = None

    def __init__(
        self,
        connection: Connection,
        exchange: str | None = None,
        routing_key: str | None = None,
        exchange_type: str | None = None,
        durable: bool | None = None,
        auto_delete: bool | None = None,
        channel: Channel | None = None,
        delivery_mode: int | str | None = None,
        auto_declare: bool | None = None,
        serializer: str | None = None,
    ) -> None:
        set_given(
            self,
            exchange=exchange,
            routing_key=routing_key,
            exchange_type=exchange_type,
            durable=durable,
            auto_delete=auto_delete,
            delivery_mode=delivery_mode,
            auto_declare=auto_declare,
            serializer=serializer,
        )
        self.connection = connection
        self.producer = Producer(
            channel or connection,
            exchange_of(self, self.delivery_mode),
            self.routing_key,
            serializer=self.serializer,
            auto_declare=self.auto_declare,
        )

    def send(self, message_data: Any, routing_key: str | None = None, **options: Any) -> None:
        """Send an object; ``options`` are those of :meth:`kombu.Producer.publish`."""
        self.producer.publish(message_data, routing_key=routing_key, **options)

    def declare(self) -> None:
        """Declare the exchange now."""
        self.producer.declare()

    def revive(self, channel: Channel) -> None:
        """Go on with another channel."""
        self.producer.revive(channel)

    def close(self) -> None:
        """Let go of the channel; the connection stays open."""
        self.producer.close()
