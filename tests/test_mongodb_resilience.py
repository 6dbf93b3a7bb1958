"""Queues in MongoDB come back after restarts, broken connections, and kills."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests import mongodb
from tests.resilience import Resilience


@pytest.mark.server("mongodb")
class TestMongoDB(Resilience):
    """What is sent again is known to a server by its number, and stored once; the tests' server carries it out a second
    time if it comes while the first is under way. What is answered already is in :mod:`tests.test_mongodb`."""

    server = "mongodb"
    doubles = True

    @property
    def options(self) -> Mapping[str, object]:
        return {**super().options, "timeout": self.silence}

    @classmethod
    def setup_class(cls) -> None:
        with mongodb.program():
            super().setup_class()

    def url(self, port: int) -> str:
        return mongodb.url("kombu", port)
