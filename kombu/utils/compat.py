"""What depends on the system or on who runs the process: forks, green threads, plug-ins, files without a number."""

from __future__ import annotations

import io
import os
import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["coro", "detect_environment", "entrypoints", "fileno", "maybe_fileno", "nested", "register_after_fork"]

P = ParamSpec("P")
T = TypeVar("T")
G = TypeVar("G", bound=Generator[Any, Any, Any])

FILENO_ERRORS = (AttributeError, io.UnsupportedOperation, ValueError)
"""What asking for the number of a file that has none, or is closed, raises."""

_after_fork: dict[int, tuple[weakref.ref[Any], Callable[[Any], object]]] = {}
_keys = count()


def register_after_fork(obj: T, func: Callable[[T], object]) -> None:
    """Call ``func(obj)`` in every process that is forked from this one, as long as ``obj`` lives.

    Does nothing where there is no fork. An error in one function is reported (:func:`sys.unraisablehook`) and keeps
    none of the others from being called. Raises TypeError for an object that has no weak references.
    """
    key = next(_keys)
    _after_fork[key] = weakref.ref(obj, lambda _: _after_fork.pop(key, None)), func


def detect_environment() -> Literal["default", "eventlet", "gevent"]:
    """Whose threads these are: those of eventlet or gevent where it has replaced the standard library's sockets."""
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet"
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        return "gevent"
    return "default"


_detect_environment = detect_environment
"""The name that Celery imports."""


def entrypoints(namespace: str) -> Iterator[tuple[EntryPoint, Any]]:
    """Each entry point of the group that is installed, and what it names, loaded when it is reached."""
    from importlib.metadata import entry_points

    return ((found, found.load()) for found in entry_points(group=namespace))


@contextmanager
def nested(*managers: AbstractContextManager[Any]) -> Iterator[list[Any]]:
    """Enter all, in order, for one ``with`` block; gives what each of them gave."""
    with ExitStack() as stack:
        yield [stack.enter_context(manager) for manager in managers]


def coro(gen: Callable[P, G]) -> Callable[P, G]:
    """Let a generator function's generators run to their first ``yield``, so that they can be sent to at once."""

    @wraps(gen)
    def started(*args: P.args, **kwargs: P.kwargs) -> G:
        made = gen(*args, **kwargs)
        next(made)
        return made

    return started


def fileno(f: Any) -> int:
    """The number of an open file, or the number itself. Raises one of ``FILENO_ERRORS`` where it has none."""
    return f if isinstance(f, int) else int(f.fileno())


def maybe_fileno(f: Any) -> int | None:
    """The number of an open file, or None where it has none."""
    try:
        return fileno(f)
    except FILENO_ERRORS:
        return None


def _forked() -> None:
    failures: list[Exception] = []
    alive = [(obj, call) for ref, call in list(_after_fork.values()) if (obj := ref()) is not None]
    for obj, call in alive:
        try:
            call(obj)
        except Exception as exc:  # noqa: BLE001 - raised below, once all were called
            failures.append(exc)
    if failures:
        raise ExceptionGroup("after a fork", failures)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
