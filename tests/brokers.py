"""Transports that misbehave on purpose."""

from __future__ import annotations

from kombu.exceptions import OperationalError
from kombu.transport.base import Transport, TransportConnection


class Unreachable(Transport):
    """Nobody ever answers."""

    def establish_connection(self) -> TransportConnection:
        raise OperationalError("nobody is there")
