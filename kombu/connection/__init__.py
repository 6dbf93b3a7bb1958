"""Connection: what a program holds to talk to a broker."""

from __future__ import annotations

from kombu.abstract import maybe_channel
from kombu.connection.connection import BrokerConnection, Connection, is_connection
from kombu.connection.pooling import ChannelPool, ConnectionPool, PoolChannelContext, PooledChannel
from kombu.exceptions import ChannelLimitExceeded, ConnectionLimitExceeded, LimitExceeded
from kombu.resource import Resource
from kombu.utils.url import parse_url

PooledConnection = Connection
"""What a pool lends is a connection; its ``release`` gives it back."""

__all__ = [
    "BrokerConnection",
    "ChannelLimitExceeded",
    "ChannelPool",
    "Connection",
    "ConnectionLimitExceeded",
    "ConnectionPool",
    "LimitExceeded",
    "PoolChannelContext",
    "PooledChannel",
    "PooledConnection",
    "Resource",
    "is_connection",
    "maybe_channel",
    "parse_url",
]
