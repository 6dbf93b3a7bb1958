"""All that every store must keep, in one class to subclass."""

from __future__ import annotations

from kombu.testing.expiry import ExpiryConformance
from kombu.testing.leases import LeaseConformance
from kombu.testing.messages import MessageConformance
from kombu.testing.outcomes import OutcomeConformance
from kombu.testing.queues import QueueConformance
from kombu.testing.races import RaceConformance
from kombu.testing.waiting import WaitingConformance


class StoreConformance(
    MessageConformance,
    QueueConformance,
    LeaseConformance,
    OutcomeConformance,
    ExpiryConformance,
    WaitingConformance,
    RaceConformance,
):
    """The promises of :class:`kombu.transport.virtual.store.Store`, tried on a store of yours.

    With pytest::

        pytest.register_assert_rewrite("kombu.testing")  # in conftest.py: failures then show the values

        class TestMyStore(StoreConformance, TopologyConformance):
            def open_store(self) -> MyStore:
                store = MyStore(self.path)   # e.g. set by an autouse fixture, another one for every test
                store.open()
                return store

    With unittest, add ``unittest.TestCase`` as the last base and call ``self.setup_method()`` in ``setUp``
    and ``self.teardown_method()`` in ``tearDown``. What a store's ``capabilities`` rule out is skipped with
    ``unittest.SkipTest``, which both understand. A promise that a backend cannot keep is overridden by name
    in the subclass, where its reader finds the reason.
    """
