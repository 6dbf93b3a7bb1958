"""The AMQP transport when its broker goes away, its connections break, or its consumers are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.background import LONG
from tests.rabbitmq import url
from tests.resilience import Resilience
from tests.resilience.kills import QuorumKills


@pytest.mark.server("rabbitmq")
class TestAMQP(QuorumKills, Resilience):
    server = "rabbitmq"
    counts = False  # a classic queue tells only whether it is the first time; see QuorumKills
    forgets = True

    def url(self, port: int) -> str:
        return url("amqp", port=port, query="?heartbeat=1&connect_timeout=2")

    @property
    def options(self) -> Mapping[str, object]:
        """Acknowledgements stay owed until a drain waits."""
        return {"confirm_timeout": self.silence, "operation_timeout": self.silence, "settle_delay": LONG}
