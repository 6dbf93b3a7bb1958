"""SQS comes back: a server that is restarted or killed, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from tests.aws import Region
from tests.background import LONG
from tests.resilience import Resilience

_INSTALLED = Path(__file__).parent.parent / ".services" / "sqs" / "venv"


@pytest.mark.server("sqs")
class TestSQS(Resilience):
    """What stands in for AWS would write its messages only when it ends in good order; scripts/services/sqs.sh lets it
    write before it answers."""

    server = "sqs"
    lease = 1.0
    silence = 1.0

    @classmethod
    def setup_class(cls) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if _INSTALLED.exists():
                patch.setenv("KOMBU_SQS_VENV", str(_INSTALLED))
            super().setup_class()

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "wait_time_seconds": 1, "topology_check": 0}

    def setup_method(self) -> None:
        super().setup_method()
        self.prefix = f"t{uuid4().hex[:12]}-"

    def url(self, port: int) -> str:
        """Past the proxies it says nothing only when it is busy."""
        patience = LONG if port == self.own.port else self.silence
        return Region(port, self.prefix).url(read_timeout=patience)
