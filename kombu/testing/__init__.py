"""Proof for stores: subclass these in the tests of a store and every promise of the seam is tried on it.

:class:`StoreConformance` is for every store, :class:`TopologyConformance` for one that also keeps exchanges
and bindings, :class:`BrowseConformance` for one whose messages can be looked at. :class:`AttendanceConformance` and
:class:`EndingConformance` are for a store that knows who uses its queues, :class:`LimitsConformance` for one that keeps
them to a length, :class:`PauseConformance` for one that can pause them.
"""

from kombu.testing.attendance import AttendanceConformance
from kombu.testing.browse import BrowseConformance
from kombu.testing.case import StoreCase, bodies, in_threads, message, raises
from kombu.testing.endings import EndingConformance
from kombu.testing.limits import LimitsConformance
from kombu.testing.pausing import PauseConformance
from kombu.testing.store import StoreConformance
from kombu.testing.topology import TopologyConformance

__all__ = [
    "AttendanceConformance",
    "BrowseConformance",
    "EndingConformance",
    "LimitsConformance",
    "PauseConformance",
    "StoreCase",
    "StoreConformance",
    "TopologyConformance",
    "bodies",
    "in_threads",
    "message",
    "raises",
]
