"""Proof for transports: subclass :class:`TransportConformance` in the tests of a transport of yours.

Every promise is tried through connections, producers, consumers and queues alone, so that it holds for a broker
that speaks AMQP as well as for a store. The module :mod:`kombu.testing.transports.table` makes the table of the
documentation from what came of it.
"""

from kombu.testing.transports.case import TransportCase, refused
from kombu.testing.transports.features import Feature, Verdict, promises
from kombu.testing.transports.suite import TransportConformance

__all__ = ["Feature", "TransportCase", "TransportConformance", "Verdict", "promises", "refused"]
