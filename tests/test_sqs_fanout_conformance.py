"""Routing keeps its promises where SNS carries what many queues get: they go the same ways as without it."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import Connection, Exchange, Queue
from kombu.testing.transports.routing import RoutingConformance
from tests.aws import Region
from tests.together import together


@pytest.mark.server("sqs")
@together(10)
class TestSNS(RoutingConformance):
    """What only one queue gets needs no SNS. So each queue has a twin, which gets the same and is not looked into."""

    transport = "sqs"
    brief = 1.0  # it counts in whole seconds

    def setup_method(self) -> None:
        super().setup_method()
        self.region = Region()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.region.clean_up(topics=True)

    def url(self) -> str:
        return self.region.url(supports_fanout=True)

    def queue(
        self,
        name: str = "orders",
        exchange: Exchange | None = None,
        key: str = "",
        connection: Connection | None = None,
        **options: Any,
    ) -> Queue:
        if exchange is not None:
            super().queue(f"{name}.twin", exchange, key, connection, **options)
        return super().queue(name, exchange, key, connection, **options)
