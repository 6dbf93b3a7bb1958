"""pika keeps what is promised of transports."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kombu.testing.transports import TransportConformance
from tests import servers


@pytest.mark.server("rabbitmq")
class TestPika(TransportConformance):
    transport = "pika"

    def url(self) -> str:
        return f"pika://guest:guest@{servers.HOST}:{servers.RABBITMQ_PORT}//?management=http://{servers.HOST}:{servers.RABBITMQ_MANAGEMENT_PORT}"

    @property
    def dying(self) -> Mapping[str, object]:
        return {}
