"""The AMQP transport when its broker goes away, its connections break, or its consumers are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import servers
from tests.instances import End
from tests.resilience import Resilience


@pytest.mark.server("rabbitmq")
class TestAMQP(Resilience):
    server = "rabbitmq"
    counts = False  # a classic queue tells only whether it is the first time
    killed = False

    def url(self, port: int) -> str:
        return f"amqp://guest:guest@{servers.HOST}:{port}//?heartbeat=1&connect_timeout=2"

    @property
    def options(self) -> Mapping[str, object]:
        return {"confirm_timeout": self.silence, "operation_timeout": self.silence}

    def can_end(self, how: End) -> None:
        super().can_end(how)
        self.killed = how == "kill"

    def check(self) -> None:
        """RabbitMQ writes acknowledgements a moment after it took them: one that is killed repeats the last ones."""
        if self.killed:
            self.ledger.after_flush.clear()
        super().check()
