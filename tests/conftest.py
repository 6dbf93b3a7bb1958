"""Django is set up once: two SQLite files in a folder of this run's own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import django
from django.conf import settings

DATA = Path(tempfile.mkdtemp(prefix="kombu-tests-"))


def sqlite(name: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / f"{name}.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def pytest_configure() -> None:
    settings.configure(
        INSTALLED_APPS=["kombu_django"],
        DATABASES={"default": sqlite("default"), "queue": sqlite("queue")},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
