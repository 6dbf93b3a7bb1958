"""Queues in MongoDB come back after restarts, broken connections, and kills."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import mongodb
from tests.resilience import Resilience


@pytest.mark.server("mongodb")
class TestMongoDB(Resilience):
    server = "mongodb"

    @property
    def options(self) -> Mapping[str, object]:
        return {**super().options, "timeout": self.silence}

    @classmethod
    def setup_class(cls) -> None:
        with mongodb.program():
            super().setup_class()

    def url(self, port: int) -> str:
        return mongodb.url("kombu", port)
