"""beanstalk comes back: a server that is restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kombu import Queue
from tests.instances import End
from tests.resilience import Resilience


@pytest.mark.server("beanstalkd")
class TestBeanstalk(Resilience):
    server = "beanstalkd"

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "timeout": self.silence}

    def url(self, port: int) -> str:
        return f"beanstalk://127.0.0.1:{port}/resilience"

    @pytest.mark.parametrize("how", ["fast", "kill"])
    def test_everybody_goes_on_when_the_server_comes_back(self, how: End) -> None:
        """The binlog has no reservations: what consumers held comes again as if for the first time."""
        self.doubles = True  # type: ignore[misc]
        super().test_everybody_goes_on_when_the_server_comes_back(how)

    def left_in(self, queue: str) -> int:
        """What is ready. beanstalkd 1.12 does not give back in time what a connection holds that it takes for alive, if
        that is more than one job."""
        return Queue(queue)(self.connection()).queue_declare(passive=True).message_count
