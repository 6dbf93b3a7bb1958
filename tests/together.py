"""The tests of one class at the same time, each in a thread: for a suite whose tests mostly wait for whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case", bound=type[Any])


def together(threads: int) -> Callable[[Case], Case]:
    """Decorates a class with ``setup_method`` and ``teardown_method``, whose tests take no fixtures and share nothing.

    Those that are selected run when the first of them is to; each then reports what came of it.
    """

    def decorate(case: Case) -> Case:
        tests = {name: getattr(case, name) for name in dir(case) if name.startswith("test_")}
        set_up, tear_down = case.setup_method, case.teardown_method
        running: dict[str, Future[None]] = {}

        def run(name: str) -> None:
            test = case()
            set_up(test)
            try:
                tests[name](test)
            finally:
                tear_down(test)

        def begin(session: pytest.Session) -> None:
            pool = ThreadPoolExecutor(threads, thread_name_prefix=case.__name__)
            selected = [item.name for item in session.items if isinstance(item, pytest.Function) and item.cls is case]
            running.update((name, pool.submit(run, name)) for name in selected)
            pool.shutdown()  # pytest changes the environment with each test, of which the children get a copy

        def reporter(name: str) -> Callable[[object, pytest.FixtureRequest], None]:
            def report(self: object, request: pytest.FixtureRequest) -> None:
                if not running:
                    begin(request.session)
                running[name].result()

            return report

        for name in tests:
            setattr(case, name, reporter(name))
        case.setup_method = case.teardown_method = _nothing
        return case

    return decorate


def _nothing(self: object) -> None:
    """Each test is set up in its own thread."""
