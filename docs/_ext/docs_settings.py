"""The Django settings under which the reference is read from the docstrings."""

INSTALLED_APPS = ["kombu_django"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
