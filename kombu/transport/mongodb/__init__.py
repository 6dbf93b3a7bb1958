"""MongoDB: ``mongodb://…`` and ``mongodb+srv://…``, which the driver, pymongo, reads itself."""

from __future__ import annotations

import pymongo

from kombu.transport.mongodb.server import Server
from kombu.transport.mongodb.settings import DEFAULT_PORT, read_settings, shared_options
from kombu.transport.mongodb.store import MongoStore
from kombu.transport.virtual import Transport as VirtualTransport
from kombu.transport.virtual import VirtualConnection, read_options

__all__ = ["MongoStore", "Transport"]


class Transport(VirtualTransport):
    """The URL is the driver's own, with all its hosts and options; its path is the database, ``kombu_default`` where
    there is none. Ours may stand in the query, too.
    """

    driver_type = "mongodb"
    driver_name = "pymongo"
    default_port = DEFAULT_PORT

    def make_store(self) -> MongoStore:
        return MongoStore(Server(read_settings(self.address)))

    def establish_connection(self) -> VirtualConnection:
        options = read_options(shared_options(self.address.options))
        connection = VirtualConnection(self.make_store(), options)
        connection.open()
        return connection

    def driver_version(self) -> str:
        return pymongo.version
