"""Seeing what goes on: log messages of this library, and every call of an object."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from kombu.utils.functional import reprcall

__all__ = ["Logwrapped", "setup_logging"]


def setup_logging(loglevel: int | None = logging.DEBUG, loggers: Iterable[str] | None = None) -> None:
    """Write what these loggers (all of ``kombu``) are told to standard error, from ``loglevel`` on."""
    for name in ["kombu"] if loggers is None else loggers:
        logger = logging.getLogger(name)
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.DEBUG if loglevel is None else loglevel)


class Logwrapped:
    """Stands for ``instance`` and writes every call of its methods to ``logger``, as debugging output.

    ``ident`` begins each line; it may name items of the instance's ``__dict__``: ``"{0.name}"`` is formatted with
    the instance. Arguments are written as they are: not for objects that are given passwords.
    """

    __ignore = ("__enter__", "__exit__")

    def __init__(self, instance: object, logger: logging.Logger | str | None = None, ident: str | None = None) -> None:
        self.instance = instance
        self.logger = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger or "kombu")
        self.ident = ident

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.instance, name)
        return self._logged(name, found) if callable(found) and name not in self.__ignore else found

    def __repr__(self) -> str:
        return repr(self.instance)

    def __dir__(self) -> list[str]:
        return dir(self.instance)

    def _logged(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        begin = self.ident.format(self.instance) if self.ident else ""

        @wraps(method)
        def logged(*args: Any, **kwargs: Any) -> Any:
            self.logger.debug("%s%s", begin, reprcall(name, args, kwargs))
            return method(*args, **kwargs)

        return logged
