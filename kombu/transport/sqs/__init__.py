"""Amazon SQS through boto3: ``sqs://KEY:SECRET@``, and ``sqs+http://host:port`` for servers that are compatible.

Routing, dead letters and times to live are the engine's; exchanges and bindings live in the tags of a queue. SNS
carries what many queues get, if ``supports_fanout`` is set. What AWS keeps and what it cannot is in
``docs/transports/sqs.rst``.
"""

from __future__ import annotations

import boto3

from kombu.transport import virtual
from kombu.transport.sqs.connection import SQSConnection
from kombu.transport.sqs.options import Settings, read_settings
from kombu.transport.sqs.store import SQSStore

__all__ = ["SQSStore", "Settings", "Transport"]


class Transport(virtual.Transport):
    """Every connection has clients, leases and polls of its own."""

    driver_type = "sqs"
    driver_name = "sqs"

    def make_store(self) -> SQSStore:
        settings, _ = read_settings(self.address)
        return SQSStore(settings)

    def establish_connection(self) -> SQSConnection:
        settings, options = read_settings(self.address)
        connection = SQSConnection(SQSStore(settings), options)
        connection.open(self.address.connect_timeout)
        return connection

    def driver_version(self) -> str:
        return str(boto3.__version__)
