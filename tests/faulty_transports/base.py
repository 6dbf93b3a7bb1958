"""What transports that lie have in common: the one in memory, with channels that have a fault."""

from __future__ import annotations

from typing import ClassVar

from kombu.transport.memory import Transport as Memory
from kombu.transport.virtual import Channel, VirtualConnection


class Faulty(Memory):
    """Its channels are ``Fault``."""

    Fault: ClassVar[type[Channel]] = Channel

    def establish_connection(self) -> VirtualConnection:
        connection = super().establish_connection()
        make = connection.channel

        def channel() -> Channel:
            made = make()
            made.__class__ = self.Fault
            return made

        connection.channel = channel  # type: ignore[method-assign]
        return connection
