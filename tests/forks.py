"""Forked children of the test's process: they work beside it, with connections of their own."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

import pytest
from django.db import connections

ALARM = 60
"""Seconds after which a child counts as hanging."""

needs_fork = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Child:
    """Works from now on; what goes wrong is on its standard error."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._process = os.fork()
        if self._process == 0:
            _be(work)

    def lives_to_the_end(self) -> bool:
        """False when it was killed; fails when its work failed or hangs."""
        _, status = os.waitpid(self._process, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "a child failed: see its traceback"
            return True
        assert os.WTERMSIG(status) == signal.SIGKILL, "a child hangs"
        return False


def alone(work: Callable[[], object]) -> Child:
    """A child that finds no connection of Django's."""
    connections.close_all()
    return Child(work)


def _be(work: Callable[[], object]) -> None:
    signal.alarm(ALARM)
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - shown by pytest as the parent's
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
