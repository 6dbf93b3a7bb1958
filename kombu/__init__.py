"""Messaging in AMQP's terms, over brokers and over the database you already have.

Names are loaded when they are first used, so that ``import kombu`` imports no driver.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing would take half the time of this import
if TYPE_CHECKING:
    from kombu.common import eventloop
    from kombu.connection import BrokerConnection, Connection
    from kombu.consumer import Consumer
    from kombu.entity import Exchange, Queue, binding
    from kombu.message import Message
    from kombu.pools import connections, producers
    from kombu.producer import Producer
    from kombu.serialization import disable_insecure_serializers, enable_insecure_serializers
    from kombu.utils.url import parse_url
    from kombu.utils.uuid import uuid
    from kombu.versions import version_info, version_info_t

VERSION = (6, 0, 0)
__version__ = ".".join(map(str, VERSION))

_HOMES = {
    "BrokerConnection": "kombu.connection",
    "Connection": "kombu.connection",
    "Consumer": "kombu.consumer",
    "Exchange": "kombu.entity",
    "Message": "kombu.message",
    "Producer": "kombu.producer",
    "Queue": "kombu.entity",
    "binding": "kombu.entity",
    "connections": "kombu.pools",
    "disable_insecure_serializers": "kombu.serialization",
    "enable_insecure_serializers": "kombu.serialization",
    "eventloop": "kombu.common",
    "parse_url": "kombu.utils.url",
    "producers": "kombu.pools",
    "uuid": "kombu.utils.uuid",
    "version_info": "kombu.versions",
    "version_info_t": "kombu.versions",
}

__all__ = [
    "VERSION",
    "BrokerConnection",
    "Connection",
    "Consumer",
    "Exchange",
    "Message",
    "Producer",
    "Queue",
    "__version__",
    "binding",
    "connections",
    "disable_insecure_serializers",
    "enable_insecure_serializers",
    "eventloop",
    "parse_url",
    "producers",
    "uuid",
    "version_info",
    "version_info_t",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
