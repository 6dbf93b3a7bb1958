"""What the long-running commands share: which connections they work for, and stopping on a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from kombu_django.conf import Config, configured, get_config


def config_or_error(alias: str) -> Config:
    """Raises ``CommandError`` for an alias that is not configured."""
    try:
        return get_config(alias)
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc


def configs(aliases: list[str] | None) -> list[Config]:
    """The connections that were named, or all."""
    return [config_or_error(alias) for alias in aliases or configured()]


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` on SIGTERM and SIGINT, instead of ending the process."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
