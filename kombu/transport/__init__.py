"""From a URL's scheme to its transport, through the entry points of the group ``kombu.transports``.

The folder is the table of transports that come with the library: one file a broker.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from kombu.exceptions import MissingDriver, UnknownTransport
from kombu.transport.base import Transport

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = ["DEFAULT_TRANSPORT", "get_transport_cls", "resolve_transport"]

DEFAULT_TRANSPORT = "amqp"
GROUP = "kombu.transports"
_WITHOUT_A_DRIVER = {
    "memory": "kombu.transport.memory:Transport",
    "filesystem": "kombu.transport.filesystem:Transport",
}
"""Those that are always there need no look at what is installed, which takes longer than all the rest."""


def get_transport_cls(name: str | None = None) -> type[Transport]:
    """The transport class for an alias (``"memory"``) or a dotted name (``"package.module:Class"``).

    Raises :class:`~kombu.exceptions.UnknownTransport` naming what there is, and
    :class:`~kombu.exceptions.MissingDriver` with the pip command when the driver is not installed.
    """
    return resolve_transport(name or DEFAULT_TRANSPORT)


def resolve_transport(name: str) -> type[Transport]:
    """What :func:`get_transport_cls` does, without its default."""
    if name in _WITHOUT_A_DRIVER:
        return _import(_WITHOUT_A_DRIVER[name])
    found = _installed().select(name=name)
    if not found and (":" in name or "." in name):
        return _import(name)
    if not found:
        _on.cache_clear()  # it may have been installed since
        found = _installed().select(name=name)
    if not found:
        raise UnknownTransport(_unknown(name))
    return _load(next(iter(found)))


def _installed() -> EntryPoints:
    return _on(tuple(sys.path))


@lru_cache(maxsize=1)
def _on(path: tuple[str, ...]) -> EntryPoints:
    """Read once: in the files of all that is installed on that path, which takes longer than to connect."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _load(entry: EntryPoint) -> type[Transport]:
    try:
        return _checked(entry.load(), entry.value)
    except ModuleNotFoundError as exc:
        if _is_part_of(exc.name, entry.module):
            raise _broken(entry.name, entry.value, exc) from exc
        distribution = entry.dist.name if entry.dist else "kombu"
        extra = entry.extras[0] if entry.extras else entry.name
        raise MissingDriver(
            f"transport {entry.name!r} needs the package {exc.name!r}: pip install '{distribution}[{extra}]'"
        ) from exc
    except (ImportError, AttributeError, UnknownTransport) as exc:
        raise _broken(entry.name, entry.value, exc) from exc


def _import(name: str) -> type[Transport]:
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        return _checked(getattr(import_module(module), attribute), name)
    except (ImportError, AttributeError) as exc:
        raise UnknownTransport(f"no transport class at {name!r}: {exc}") from exc


def _is_part_of(missing: str | None, module: str) -> bool:
    """Whether what is missing belongs to the transport's own package, and is no driver."""
    return (missing or "").partition(".")[0] == module.partition(".")[0]


def _broken(name: str, place: str, exc: Exception) -> UnknownTransport:
    return UnknownTransport(f"transport {name!r} ({place}) cannot be loaded: {exc}")


def _checked(loaded: object, name: str) -> type[Transport]:
    if isinstance(loaded, type) and issubclass(loaded, Transport):
        return loaded
    raise UnknownTransport(f"{name!r} is not a kombu.transport.base.Transport class")


def _unknown(name: str) -> str:
    known = sorted(entry.name for entry in _installed())
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no transport {name!r}: {hint}installed are {', '.join(known) or 'none (install the distribution)'}"
