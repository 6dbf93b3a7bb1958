"""Redis that goes away, connections to it that break, and consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import servers
from tests.resilience import Resilience


@pytest.mark.server("redis")
class TestRedis(Resilience):
    server = "redis"
    silence = 1.5

    def url(self, port: int) -> str:
        return f"redis://{servers.HOST}:{port}/0?connect_timeout=2"

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "socket_timeout": self.silence}
