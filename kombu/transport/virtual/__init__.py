"""AMQP's meaning over a store. A transport of this kind is a class with one method, ``make_store``."""

from __future__ import annotations

from abc import abstractmethod

from kombu.exceptions import ChannelError, OperationalError
from kombu.transport import base
from kombu.transport.virtual.channel import Channel
from kombu.transport.virtual.connection import VirtualConnection
from kombu.transport.virtual.options import Options, read_options
from kombu.transport.virtual.store import Store

__all__ = ["Channel", "Options", "Transport", "VirtualConnection", "read_options"]


class Transport(base.Transport):
    """Connects to a :class:`~kombu.transport.virtual.store.Store`."""

    connection_errors = (OperationalError,)
    channel_errors = (ChannelError,)

    @abstractmethod
    def make_store(self) -> Store:
        """A new handle on the store at ``self.address``, not opened yet."""

    def establish_connection(self) -> VirtualConnection:
        connection = VirtualConnection(self.make_store(), read_options(self.address.options))
        connection.open()
        return connection
