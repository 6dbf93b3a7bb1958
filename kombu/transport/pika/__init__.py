"""The transport over pika: RabbitMQ, and whatever else speaks AMQP 0-9-1 (``pika://``, ``syncpika://``).

What one connection does on the network happens in an event loop: of a thread of its own, or, for :mod:`kombu.aio`, in
the application's.
"""

from __future__ import annotations

from typing import ClassVar

import pika

from kombu.exceptions import ChannelError, OperationalError
from kombu.transport import base
from kombu.transport.asynchronous import event_loop
from kombu.transport.base import Address, Implements
from kombu.transport.native.options import read_options
from kombu.transport.pika.connection import PikaConnection

__all__ = ["Transport"]


class Transport(base.Transport):
    """Makes connections to RabbitMQ."""

    driver_type: ClassVar[str] = "amqp"
    driver_name: ClassVar[str] = "pika"
    default_port: ClassVar[int | None] = 5672
    implements: ClassVar[Implements] = Implements(heartbeats=True, asyncio=True)
    connection_errors: ClassVar[tuple[type[Exception], ...]] = (OperationalError,)
    channel_errors: ClassVar[tuple[type[Exception], ...]] = (ChannelError,)

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._options = read_options(address.options)

    def establish_connection(self) -> PikaConnection:
        connection = PikaConnection(self.address, self._options, event_loop.get(), self.driver_name)
        connection.open()
        return connection

    def driver_version(self) -> str:
        return str(pika.__version__)
