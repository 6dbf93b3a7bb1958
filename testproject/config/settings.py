"""Settings of the flights site.

What may be set from outside, each an environment variable:

``FLIGHTS_WAY``         ``same-database``: the queue lives in the site's own database, and publishing and
                        acknowledging are part of its transactions. ``outbox``: the queue is a second
                        database, reached through the outbox.
``FLIGHTS_DATA``        the folder of the SQLite files; ``var/<way>`` unless told.
``FLIGHTS_LEASE``       seconds that a consumer which died keeps its messages; 60 unless told.
``FLIGHTS_DEBUG``       ``1`` for error pages and for ``runserver`` to serve the admin's style sheets.
``FLIGHTS_SECRET_KEY``  Django's secret key. Without it each process makes its own, which is good for one
                        machine and ends every login when the server starts again.
"""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

WAYS = ("same-database", "outbox")
SITE = Path(__file__).resolve().parent.parent


def way_from(environ: "os._Environ[str]") -> str:
    way = environ.get("FLIGHTS_WAY") or WAYS[0]
    if way not in WAYS:
        raise ImproperlyConfigured(f"FLIGHTS_WAY is {way!r}: it must be one of {', '.join(WAYS)}")
    return way


def lease_from(environ: "os._Environ[str]") -> float:
    text = environ.get("FLIGHTS_LEASE") or "60"
    try:
        return float(text)
    except ValueError:
        raise ImproperlyConfigured(f"FLIGHTS_LEASE is {text!r}: it must be a number of seconds") from None


def sqlite(path: Path) -> dict[str, Any]:
    """A database for many processes: readers never wait, and a writer waits its turn from BEGIN on."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "timeout": 30,
        },
    }


WAY = way_from(os.environ)
DATA = Path(os.environ.get("FLIGHTS_DATA") or SITE / "var" / WAY)
DATA.mkdir(parents=True, exist_ok=True)

DATABASES = {"default": sqlite(DATA / "site.sqlite3")}
DATABASE_ROUTERS: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

KOMBU: dict[str, dict[str, Any]] = {
    "default": {
        "URL": "django://default",
        "DATABASE": "default",
        "TRANSPORT_OPTIONS": {"lease": lease_from(os.environ)},
    },
}
if WAY == "outbox":
    DATABASES["queue"] = sqlite(DATA / "queue.sqlite3")
    DATABASE_ROUTERS = ["config.routers.QueueRouter"]
    KOMBU["default"] |= {"URL": "django://queue", "OUTBOX": True}

DEBUG = os.environ.get("FLIGHTS_DEBUG") == "1"
SECRET_KEY = os.environ.get("FLIGHTS_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "kombu_django",
    "flights",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"
