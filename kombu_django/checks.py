"""System checks: what is wrong in ``settings.KOMBU`` and in the consumers shows before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from kombu.exceptions import InvalidURL, KombuError
from kombu.transport import get_transport_cls
from kombu.transport.virtual.options import read_options
from kombu.utils.url import parse_url
from kombu_django.conf import Config, configured, read_config
from kombu_django.registry import registry


@register(Tags.compatibility)
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """``settings.KOMBU``: its shape, its URLs, their drivers and options."""
    found = configured()
    if not isinstance(found, Mapping):
        return [Error("settings.KOMBU must be a dict of connections", hint=_EXAMPLE, id="kombu.E001")]
    return [problem for alias, values in found.items() for problem in _connection_problems(str(alias), values)]


@register(Tags.compatibility)
def check_consumers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every consumer's connection exists."""
    found = configured()
    return [
        Error(
            f"consumer {handler.name} uses the connection {handler.using!r}, which is not in settings.KOMBU",
            hint=f"known are {', '.join(found) or 'none'}",
            id="kombu.E010",
        )
        for handler in registry.handlers()
        if isinstance(found, Mapping) and handler.using not in found
    ]


_EXAMPLE = 'KOMBU = {"default": {"URL": "django://default"}}'


def _connection_problems(alias: str, values: object) -> Iterator[CheckMessage]:
    where = f"settings.KOMBU[{alias!r}]"
    try:
        config = read_config(alias, values)
    except (InvalidURL, TypeError, ValueError) as exc:
        yield Error(f"{where}: {exc}", hint=_EXAMPLE, id="kombu.E002")
        return
    try:
        get_transport_cls(str(parse_url(config.url)["transport"]))
    except KombuError as exc:
        yield Error(f"{where}: {exc}", id="kombu.E003")
        return
    if config.queue_database is not None:
        try:
            read_options(config.transport_options)
        except InvalidURL as exc:
            yield Error(f"{where}: {exc}", id="kombu.E004")
    yield from _sqlite_warnings(config)


def _sqlite_warnings(config: Config) -> Iterator[CheckMessage]:
    """Without these, writers of one SQLite file fail with "database is locked" instead of taking turns."""
    for alias in sorted({config.database, config.queue_database or config.database}):
        if connections[alias].vendor != "sqlite":
            continue
        options = connections[alias].settings_dict.get("OPTIONS", {})
        if options.get("transaction_mode") not in ("IMMEDIATE", "EXCLUSIVE"):
            yield Warning(
                f"database {alias!r} is SQLite without transaction_mode IMMEDIATE: a transaction that reads before"
                " it writes fails at once when another process writes",
                hint=f'DATABASES[{alias!r}]["OPTIONS"]["transaction_mode"] = "IMMEDIATE"',
                id="kombu.W001",
            )
        if "journal_mode=wal" not in str(options.get("init_command", "")).lower().replace(" ", ""):
            yield Warning(
                f"database {alias!r} is SQLite without a write-ahead log: readers and writers wait for each other",
                hint=f'DATABASES[{alias!r}]["OPTIONS"]["init_command"] ='
                ' "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"',
                id="kombu.W002",
            )
