"""The plugin for what is promised of queues in memory and in a database: connections to either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kombu import Connection
from tests.memory import Connect


@pytest.fixture(params=["memory", "django"])
def url(request: pytest.FixtureRequest, name: str) -> str:
    if request.param == "memory":
        return f"memory://{name}"
    request.getfixturevalue("tables")
    return "django://default"


@pytest.fixture
def join(url: str) -> Iterator[Connect]:
    """Each call opens another connection to the same queues, as another process would."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Connection(url, transport_options=options))
