"""The SQS store keeps the promises of a store that SQS lets it keep."""

from __future__ import annotations

import pytest

from kombu.testing import StoreConformance, TopologyConformance
from kombu.transport.sqs import SQSStore
from tests.aws import Region


@pytest.mark.server("sqs")
class TestSQSStore(StoreConformance, TopologyConformance):
    brief = 1.0
    patience = 20.0

    def setup_method(self) -> None:
        super().setup_method()
        self.region = Region()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.region.clean_up()

    def open_store(self) -> SQSStore:
        return self.region.store()
