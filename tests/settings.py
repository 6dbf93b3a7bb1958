"""Django settings of the tests: two SQLite files in a folder of this run's own, and the servers that answer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests import servers

if "KOMBU_TESTS_DATA" not in os.environ:
    os.environ["KOMBU_TESTS_DATA"] = tempfile.mkdtemp(prefix="kombu-tests-")
DATA = Path(os.environ["KOMBU_TESTS_DATA"])


def sqlite(name: str) -> dict[str, object]:
    """A database for many processes and threads."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / f"{name}.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def postgresql() -> dict[str, object]:
    """A database of this run's own, so that several may run at the same time."""
    return {"ENGINE": "django.db.backends.postgresql", "PORT": servers.PG_PORT, **of_this_run()}


def mariadb() -> dict[str, object]:
    """The same."""
    return {
        "ENGINE": "django.db.backends.mysql",
        "PORT": servers.MARIADB_PORT,
        "OPTIONS": {"charset": "utf8mb4"},
        **of_this_run(),
    }


def of_this_run() -> dict[str, object]:
    return {"HOST": servers.HOST, "USER": "kombu", "NAME": DATA.name.replace("-", "_")}


SECRET_KEY = "for tests only"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "kombu_django",
]
DATABASES = {"default": sqlite("default"), "queue": sqlite("queue")}
if servers.missing("postgresql") is None:
    DATABASES["postgresql"] = postgresql()
if servers.missing("mariadb") is None and servers.missing("mysqlclient") is None:
    DATABASES["mariadb"] = mariadb()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
KOMBU = {"default": {"URL": "django://default"}, "far": {"URL": "django://queue"}}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
