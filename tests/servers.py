"""The servers and programs that some tests need: whether they are there, and what was not tested without them.

``@pytest.mark.server("postgresql")`` skips a test where that server is not there. With KOMBU_REQUIRE_SERVERS=1 in
the environment the test fails instead.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

PATIENCE = 2.0
"""Seconds in which a server that is there answers."""

PG_PORT = int(os.environ.get("KOMBU_PG_PORT", "54329"))


def chromium() -> str | None:
    """Its path."""
    return shutil.which("chromium")


@cache
def missing(server: str) -> str | None:
    """Why the tests of ``server`` cannot run, None if they can; looked at once."""
    return _LOOKS[server]()


class Servers:
    """The pytest plugin behind the mark ``server``."""

    def __init__(self) -> None:
        self._skipped: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for name in _needed(item):
                if name not in _LOOKS:
                    raise pytest.UsageError(f"{item.nodeid}: no server {name!r}; known are {', '.join(_LOOKS)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        absent = {name: why for name in _needed(item) if (why := missing(name))}
        if not absent:
            return
        text = "; ".join(f"{name} is not there: {why}" for name, why in absent.items())
        if os.environ.get("KOMBU_REQUIRE_SERVERS") == "1":
            pytest.fail(f"{text} (start it: make services)", pytrace=False)
        self._skipped.update(absent.keys())
        pytest.skip(text)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._skipped:
            return
        terminalreporter.section("not tested: servers that are not there")
        for name, tests in sorted(self._skipped.items()):
            terminalreporter.line(f"{name}: {tests} tests skipped, {missing(name)} (start it: make services)")


def _needed(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("server") for name in mark.args]


def _look_for_chromium() -> str | None:
    return "no program chromium on the PATH" if chromium() is None else None


def _look_for_postgresql() -> str | None:
    try:
        socket.create_connection(("127.0.0.1", PG_PORT), PATIENCE).close()
    except OSError as exc:
        return f"127.0.0.1:{PG_PORT}: {exc.strerror or exc}"
    try:
        import psycopg
    except ImportError:
        return "no Python package psycopg"
    try:
        psycopg.connect(postgresql_url(), connect_timeout=int(PATIENCE)).close()
    except psycopg.Error as exc:
        return str(exc)
    return None


def postgresql_url(database: str = "kombu") -> str:
    """For psycopg."""
    return f"postgresql://kombu@127.0.0.1:{PG_PORT}/{database}"


_LOOKS: dict[str, Callable[[], str | None]] = {"chromium": _look_for_chromium, "postgresql": _look_for_postgresql}
