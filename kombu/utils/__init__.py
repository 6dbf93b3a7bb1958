"""Helpers that know nothing of messaging; each subject has its own module, loaded when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from kombu.retry import retry_over_time
    from kombu.utils.compat import fileno, maybe_fileno, nested, register_after_fork
    from kombu.utils.div import emergency_dump_state
    from kombu.utils.functional import fxrange, fxrangemax, maybe_list, reprcall, reprkwargs
    from kombu.utils.imports import symbol_by_name
    from kombu.utils.objects import cached_property

__all__ = [
    "cached_property",
    "emergency_dump_state",
    "fileno",
    "fxrange",
    "fxrangemax",
    "maybe_fileno",
    "maybe_list",
    "nested",
    "register_after_fork",
    "reprcall",
    "reprkwargs",
    "retry_over_time",
    "symbol_by_name",
    "uuid",
]

_HOMES = {
    "cached_property": "kombu.utils.objects",
    "emergency_dump_state": "kombu.utils.div",
    "fileno": "kombu.utils.compat",
    "fxrange": "kombu.utils.functional",
    "fxrangemax": "kombu.utils.functional",
    "maybe_fileno": "kombu.utils.compat",
    "maybe_list": "kombu.utils.functional",
    "nested": "kombu.utils.compat",
    "register_after_fork": "kombu.utils.compat",
    "reprcall": "kombu.utils.functional",
    "reprkwargs": "kombu.utils.functional",
    "retry_over_time": "kombu.retry",
    "symbol_by_name": "kombu.utils.imports",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
