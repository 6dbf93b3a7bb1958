"""The engine's connection with what is SQS's own: an empty queue is confirmed, and requests are billed."""

from __future__ import annotations

from typing import ClassVar

from kombu.message import Message
from kombu.transport import virtual
from kombu.transport.sqs.receiving import thorough
from kombu.transport.sqs.store import SQSStore


class Channel(virtual.Channel):
    """Gets a message wherever AWS keeps it."""

    def get_batch(self, queue: str, limit: int, no_ack: bool = False) -> list[Message]:
        """None takes a second: see :mod:`kombu.transport.sqs.receiving`. ``basic_get`` asks here, too."""
        with thorough():
            return super().get_batch(queue, limit, no_ack)


class SQSConnection(virtual.VirtualConnection):
    """See :class:`kombu.transport.base.Billed`."""

    channel_type: ClassVar[type[virtual.Channel]] = Channel

    def __init__(self, store: SQSStore, options: virtual.Options) -> None:
        super().__init__(store, options)
        self._sqs = store

    def billed_requests(self) -> dict[str, int]:
        return self._sqs.billed_requests()
