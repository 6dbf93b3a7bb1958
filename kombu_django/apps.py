"""The app: finds every app's ``consumers.py`` and registers the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class KombuConfig(AppConfig):
    name = "kombu_django"
    label = "kombu_django"
    verbose_name = "Kombu"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from kombu_django import checks  # noqa: F401 - registers them

        autodiscover_modules("consumers")
