"""All that is promised of a transport, in one class to subclass."""

from __future__ import annotations

from kombu.testing.transports.consuming import ConsumingConformance
from kombu.testing.transports.contents import ContentConformance
from kombu.testing.transports.declaring import DeclaringConformance
from kombu.testing.transports.limits import LimitConformance
from kombu.testing.transports.moving import MovingConformance
from kombu.testing.transports.operating import OperatingConformance
from kombu.testing.transports.routing import RoutingConformance
from kombu.testing.transports.settling import SettlingConformance
from kombu.testing.transports.statistics import StatisticsConformance
from kombu.testing.transports.temporary import TemporaryConformance
from kombu.testing.transports.waiting import WaitingConformance


class TransportConformance(
    RoutingConformance,
    DeclaringConformance,
    ContentConformance,
    SettlingConformance,
    ConsumingConformance,
    WaitingConformance,
    LimitConformance,
    TemporaryConformance,
    StatisticsConformance,
    OperatingConformance,
    MovingConformance,
):
    """The promises of every transport, tried on one of yours.

    With pytest::

        pytest.register_assert_rewrite("kombu.testing")  # in conftest.py: failures then show the values

        class TestMine(TransportConformance):
            transport = "mine"

            def url(self) -> str:
                return "mine://localhost"

    With unittest, add ``unittest.TestCase`` as the last base and call ``self.setup_method()`` in ``setUp`` and
    ``self.teardown_method()`` in ``tearDown``. A feature that a transport cannot keep is to be refused with an
    error that names it and the transport; the promise then counts as refused, and the test passes.
    """
