"""CouchDB comes back: a server that is restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.resilience import Resilience

PROGRAM = Path(__file__).parent.parent / ".services" / "couchdb" / "program"
"""What `make services` has installed: that takes minutes, so that instances share it."""


@pytest.mark.server("couchdb")
class TestCouchDB(Resilience):
    server = "couchdb"
    silence = 2.5  # on a busy machine its stand-in takes a second now and then

    @classmethod
    def setup_class(cls) -> None:
        if PROGRAM.exists():
            os.environ.setdefault("KOMBU_COUCHDB_PROGRAM", str(PROGRAM))
        super().setup_class()

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "timeout": self.silence}

    def url(self, port: int) -> str:
        return f"couchdb://127.0.0.1:{port}/resilience"
