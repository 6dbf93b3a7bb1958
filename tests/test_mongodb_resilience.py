"""Queues in MongoDB come back: a server that is restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
        """The program is installed once."""
        with pytest.MonkeyPatch.context() as patch:
            if INSTALLED.exists():
                patch.setenv("KOMBU_MONGODB_VENV", str(INSTALLED))
            super().setup_class()

    def url(self, port: int) -> str:
        return mongodb.url("kombu", port)


INSTALLED = Path(__file__).parent.parent / ".services" / "mongodb" / "venv"
