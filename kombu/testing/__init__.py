"""Proof for stores: subclass these in the tests of a store and every promise of the seam is tried on it.

:class:`StoreConformance` is for every store, :class:`TopologyConformance` for one that also keeps exchanges
and bindings, :class:`BrowseConformance` for one whose messages can be looked at.
"""

from kombu.testing.browse import BrowseConformance
from kombu.testing.case import StoreCase, bodies, in_threads, message, raises
from kombu.testing.store import StoreConformance
from kombu.testing.topology import TopologyConformance

__all__ = [
    "BrowseConformance",
    "StoreCase",
    "StoreConformance",
    "TopologyConformance",
    "bodies",
    "in_threads",
    "message",
    "raises",
]
