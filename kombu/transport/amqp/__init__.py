"""RabbitMQ, and other brokers that speak AMQP 0-9-1, over py-amqp (``amqp://user:password@host:port/vhost``).

The handshake, the names of the methods and the codec of their arguments are py-amqp's. What every message needs, and
whatever has to keep a deadline, is done here: see :mod:`kombu.transport.amqp.wire`.
"""

from __future__ import annotations

from typing import ClassVar

import amqp

from kombu.exceptions import ChannelError, OperationalError
from kombu.transport.amqp.connection import AMQPConnection
from kombu.transport.amqp.dialing import dial
from kombu.transport.amqp.options import read_all_options
from kombu.transport.base import Address, Implements
from kombu.transport.base import Transport as BaseTransport

__all__ = ["SecureTransport", "Transport"]


class Transport(BaseTransport):
    """``amqp://``; with ``ssl`` it is encrypted, as ``amqps://`` is."""

    driver_type = "amqp"
    driver_name = "py-amqp"
    default_port: ClassVar[int | None] = 5672
    implements = Implements(heartbeats=True, asynchronous=False)
    connection_errors = (OperationalError,)
    channel_errors = (ChannelError,)
    secure: ClassVar[bool] = False

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._options, self._socket_options = read_all_options(address.options)

    def establish_connection(self) -> AMQPConnection:
        secure = self.secure or bool(self.address.ssl)
        port = SecureTransport.default_port if secure else self.default_port
        opened = dial(self.address, self._options, self._socket_options, port or 0, secure)
        return AMQPConnection(opened, self.address, self._options, self.driver_type)

    def driver_version(self) -> str:
        return str(amqp.__version__)


class SecureTransport(Transport):
    """``amqps://``: the broker's certificate is verified, and that it is for this host."""

    default_port = 5671
    secure = True
