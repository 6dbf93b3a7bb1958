"""The ``KOMBU`` setting as values: one :class:`Config` for each connection alias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from kombu.exceptions import InvalidURL
from kombu.utils.url import parse_url

DEFAULT_ALIAS = "default"
KEYS = ("URL", "DATABASE", "OUTBOX", "TRANSPORT_OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One connection of the ``KOMBU`` setting.

    ``database`` is the alias of the database whose transactions publish and handle messages: outbox and inbox
    live there. ``queue_database`` is the alias of the database that holds the queues, for ``django://`` URLs.
    """

    alias: str
    url: str = field(repr=False)
    database: str
    outbox: bool
    queue_database: str | None
    transport_options: Mapping[str, object] = field(repr=False)

    @property
    def same_database(self) -> bool:
        """Whether queues and application share a database, so that one transaction holds both."""
        return self.queue_database == self.database


def configured() -> Mapping[str, Any]:
    """The setting as it stands; without one, the ORM queue in the default database."""
    return getattr(settings, "KOMBU", {DEFAULT_ALIAS: {"URL": "django://default"}})


@lru_cache
def get_config(alias: str = DEFAULT_ALIAS) -> Config:
    """Raises ``ImproperlyConfigured`` for an alias that is not in ``KOMBU``, or a setting that cannot be read."""
    found = configured()
    if not isinstance(found, Mapping) or alias not in found:
        known = ", ".join(sorted(found)) if isinstance(found, Mapping) else "none"
        raise ImproperlyConfigured(f"no connection {alias!r} in settings.KOMBU: known are {known}")
    try:
        return read_config(alias, found[alias])
    except (InvalidURL, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"settings.KOMBU[{alias!r}]: {exc}") from exc


def read_config(alias: str, values: Any) -> Config:
    """Raises ``ValueError`` or ``TypeError`` with a text that says which key is wrong and why."""
    if not isinstance(values, Mapping):
        raise TypeError(f"must be a dict with the key 'URL', not {type(values).__name__}")
    if unknown := sorted(set(values) - set(KEYS)):
        raise ValueError(f"unknown key {unknown[0]!r}: known are {', '.join(KEYS)}")
    if not isinstance(values.get("URL"), str):
        raise ValueError("'URL' is missing: a broker URL as text, for example 'django://default'")
    parts = parse_url(values["URL"])
    database = values.get("DATABASE", DEFAULT_ALIAS)
    queue_database = str(parts["hostname"] or DEFAULT_ALIAS) if parts["transport"] == "django" else None
    outbox = values.get("OUTBOX", queue_database != database)
    options = values.get("TRANSPORT_OPTIONS", {})
    _check_type("DATABASE", database, str, "a database alias")
    _check_type("OUTBOX", outbox, bool, "True or False")
    _check_type("TRANSPORT_OPTIONS", options, Mapping, "a dict")
    for name, known in (("DATABASE", database), ("URL", queue_database)):
        if known is not None and known not in settings.DATABASES:
            raise ValueError(f"{name!r} names the database {known!r}, which is not in settings.DATABASES")
    return Config(
        alias=alias,
        url=values["URL"],
        database=database,
        outbox=outbox,
        queue_database=queue_database,
        transport_options=options,
    )


def _check_type(key: str, value: object, wanted: type | tuple[type, ...], text: str) -> None:
    if not isinstance(value, wanted):
        raise TypeError(f"{key!r} must be {text}, not {value!r}")


def _forget(setting: str, **kwargs: Any) -> None:
    """Tests that override the settings get them read anew."""
    if setting in ("KOMBU", "DATABASES"):
        get_config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="kombu_django.conf")
