"""``django://`` where Django, or its settings, are not what it needs: each says what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kombu import Connection
from kombu.exceptions import InvalidURL

CONNECT = """
from kombu import Connection
try:
    Connection("django://default").connect()
except Exception as error:
    print(type(error).__name__, error)
"""
CONFIGURE = """
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}, %s)
django.setup()
"""


def said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={}).stdout


def test_without_settings_it_says_how_to_set_django_up() -> None:
    assert "OperationalError django:// before Django is set up: set DJANGO_SETTINGS_MODULE" in said(CONNECT)


def test_without_the_app_it_says_which_to_install() -> None:
    assert "OperationalError django:// needs 'kombu_django' in settings" in said(CONFIGURE % "" + CONNECT)


def test_without_the_tables_it_says_which_migrations_to_run() -> None:
    found = said(CONFIGURE % 'INSTALLED_APPS=["kombu_django"]' + CONNECT)
    assert "OperationalError database 'default' has no kombu tables: run manage.py migrate" in found


def test_an_unknown_alias_names_those_that_are_known() -> None:
    with pytest.raises(InvalidURL, match=r"django://nowhere.*default.*queue"):
        Connection("django://nowhere").connect()
