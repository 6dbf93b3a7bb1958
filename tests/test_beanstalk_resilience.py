"""beanstalk comes back: a server that is restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.resilience import Resilience


@pytest.mark.server("beanstalkd")
class TestBeanstalk(Resilience):
    server = "beanstalkd"

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "timeout": self.silence}

    def url(self, port: int) -> str:
        return f"beanstalk://127.0.0.1:{port}/resilience"
