"""Django is set up once for the whole run, with its tables; each test begins with them empty."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import django
import pytest


def pytest_configure() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()


@pytest.fixture(scope="session")
def migrated() -> None:
    from django.core.management import call_command

    for alias in ("default", "queue"):
        call_command("migrate", database=alias, verbosity=0)


@pytest.fixture
def tables(migrated: None) -> Iterator[None]:
    """The tables of both databases, empty at first."""
    from django.apps import apps
    from django.db import connections

    from kombu_django import connections as links

    for alias in ("default", "queue"):
        for model in apps.get_app_config("kombu_django").get_models():
            model._default_manager.using(alias).all().delete()
    yield
    links.close_all()
    connections.close_all()


@pytest.fixture
def registered() -> Iterator[None]:
    """Consumers that a test registers are forgotten after it."""
    from kombu_django.registry import registry

    registry.clear()
    yield
    registry.clear()


@pytest.fixture
def django_queries() -> Iterator[list[str]]:
    """The statements that this thread sends to the default database."""
    from django.db import connection

    seen: list[str] = []

    def note(execute: Callable[..., object], sql: str, *rest: object) -> object:
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield seen
