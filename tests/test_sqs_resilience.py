"""SQS comes back: a server that is restarted, connections that break, consumers that are killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest

from tests.aws import Region
from tests.resilience import Resilience
from tests.resilience.troubles import TROUBLES, Trouble

_INSTALLED = Path(__file__).parent.parent / ".services" / "sqs" / "venv"


_TELLING = [each for each in TROUBLES if each.name in ("reset", "closed by the server", "lost")]
in_some_troubles = pytest.mark.parametrize("trouble", _TELLING, ids=lambda trouble: trouble.name.replace(" ", "-"))


@pytest.mark.server("sqs")
class TestSQS(Resilience):
    """What stands in for AWS writes its messages when it ends: it cannot be killed. A standard queue does not know a
    message again, so what is published again may be there twice."""

    server = "sqs"
    ends = ("fast",)
    doubles = True
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
        return {"lease": self.lease, "read_timeout": self.silence, "wait_time_seconds": 1, "topology_check": 0}

    def setup_method(self) -> None:
        super().setup_method()
        self.prefix = f"t{uuid4().hex[:12]}-"

    def url(self, port: int) -> str:
        return Region(port, self.prefix).url()

    @in_some_troubles
    def test_idle_consumers_go_on_by_themselves(self, trouble: Trouble) -> None:
        """Fewer than elsewhere, here and below: every request stands for itself, and each test takes seconds."""
        super().test_idle_consumers_go_on_by_themselves(trouble)

    @in_some_troubles
    def test_what_is_confirmed_meanwhile_arrives(self, trouble: Trouble) -> None:
        super().test_what_is_confirmed_meanwhile_arrives(trouble)

    @in_some_troubles
    def test_a_handler_that_runs_meanwhile_is_repeated_at_most_once(self, trouble: Trouble) -> None:
        super().test_a_handler_that_runs_meanwhile_is_repeated_at_most_once(trouble)

    @in_some_troubles
    def test_acknowledging_meanwhile_repeats_each_message_at_most_once(self, trouble: Trouble) -> None:
        super().test_acknowledging_meanwhile_repeats_each_message_at_most_once(trouble)
