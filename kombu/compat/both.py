"""carrot's Messaging: publisher and consumer in one."""

from __future__ import annotations

from typing import Any

from kombu.compat.consuming import Consumer
from kombu.compat.parts import Called, set_given
from kombu.compat.publishing import Publisher
from kombu.connection import Connection
from kombu.message import Message

__all__ = ["Messaging"]


class Messaging(Called):
    """A :class:`Publisher` and a :class:`Consumer` of one exchange, queue and routing key in one.

    Each argument that is left out is taken from the attribute of the same name, which a subclass may set; ``options``
    are more of the consumer's.
    """

    queue: str = ""
    exchange: str = ""
    routing_key: str = ""
    exchange_type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    publisher_cls: type[Publisher] = Publisher
    consumer_cls: type[Consumer] = Consumer

    def __init__(
        self,
        connection: Connection,
        queue: str | None = None,
        exchange: str | None = None,
        routing_key: str | None = None,
        exchange_type: str | None = None,
        durable: bool | None = None,
        auto_delete: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__(())
        set_given(self, queue=queue, exchange=exchange, routing_key=routing_key)
        set_given(self, exchange_type=exchange_type, durable=durable, auto_delete=auto_delete)
        self.connection = connection
        both: dict[str, Any] = {
            "exchange": self.exchange,
            "routing_key": self.routing_key,
            "exchange_type": self.exchange_type,
            "durable": self.durable,
            "auto_delete": self.auto_delete,
        }
        self.consumer = self.consumer_cls(connection, self.queue, **both, **options)
        self.consumer.register_callback(self.receive)
        self.publisher = self.publisher_cls(connection, **both)

    def send(self, message_data: Any, **options: Any) -> None:
        """See :meth:`Publisher.send`."""
        self.publisher.send(message_data, **options)

    def fetch(self, **options: Any) -> Message | None:
        """See :meth:`Consumer.fetch`."""
        return self.consumer.fetch(**options)

    def close(self) -> None:
        """Close both; the connection stays open."""
        self.publisher.close()
        self.consumer.close()
