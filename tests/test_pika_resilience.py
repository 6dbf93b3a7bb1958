"""pika, and a RabbitMQ that restarts, connections that break, and consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.rabbitmq import url
from tests.resilience import Resilience
from tests.resilience.kills import QuorumKills


@pytest.mark.server("rabbitmq")
class TestPika(QuorumKills, Resilience):
    server = "rabbitmq"
    counts = False
    forgets = True

    def url(self, port: int) -> str:
        return url("pika", port=port, query="?heartbeat=1")

    @property
    def options(self) -> Mapping[str, object]:
        return {"operation_timeout": self.silence, "confirm_timeout": self.silence}
