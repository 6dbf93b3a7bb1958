"""Objects named by where they are defined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["symbol_by_name"]

Import = Callable[..., ModuleType]


def symbol_by_name(
    name: Any,
    aliases: Mapping[str, Any] | None = None,
    imp: Import = import_module,
    package: str | None = None,
    sep: str = ".",
    default: Any = None,
) -> Any:
    """What ``"module.name"``, or ``"module:name"``, stands for; anything but text is what it is already.

    A short name is looked up in ``aliases`` first. ``package`` is what a relative name is relative to. Where the
    name cannot be found the answer is ``default``; without one ImportError or AttributeError is raised, and
    ValueError for what is no name at all.
    """
    if not isinstance(name, str):
        return name
    found = (aliases or {}).get(name, name)
    if not isinstance(found, str):
        return found
    module, attribute = _split(found, sep, package)
    try:
        home = imp(module, package=package)
        return getattr(home, attribute) if attribute else home
    except (ImportError, AttributeError):
        if default is None:
            raise
        return default


def _split(name: str, sep: str, package: str | None) -> tuple[str, str]:
    module, _, attribute = name.rpartition(":" if ":" in name else sep)
    if ":" in module or not name.strip(f".:{sep}"):
        raise ValueError(f"{name!r} names nothing: write 'package.module:name' or 'package.module.name'")
    if not module:
        return package or attribute, attribute if package else ""
    return module, attribute
