"""SQS comes back: a server that is restarted, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from tests.aws import Region
from tests.resilience import Resilience

_INSTALLED = Path(__file__).parent.parent / ".services" / "sqs" / "venv"


@pytest.mark.server("sqs")
class TestSQS(Resilience):
    """What stands in for AWS writes its messages when it ends: it cannot be killed. A standard queue does not know a
    message again, so what is published again may be there twice."""

    server = "sqs"
    ends = ("fast",)
    doubles = True

    @classmethod
    def setup_class(cls) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if _INSTALLED.exists():
                patch.setenv("KOMBU_SQS_VENV", str(_INSTALLED))
            super().setup_class()

    @property
    def options(self) -> Mapping[str, object]:
        return {"lease": self.lease, "read_timeout": self.silence, "wait_time_seconds": 1, "topology_check": 0}

    def setup_method(self) -> None:
        super().setup_method()
        self.prefix = f"t{uuid4().hex[:12]}-"

    def url(self, port: int) -> str:
        return Region(port, self.prefix).url()
