"""Logging: a logger that never complains, levels by name, and an object that logs under its own name."""

from __future__ import annotations

import logging
import os
from typing import Any, TextIO

from kombu.utils.encoding import safe_str
from kombu.utils.functional import maybe_evaluate
from kombu.utils.objects import cached_property

__all__ = ["DISABLE_TRACEBACKS", "LOG_LEVELS", "Log", "LogMixin", "get_logger", "get_loglevel", "setup_logging"]

_NUMBERS = logging.getLevelNamesMapping()

LOG_LEVELS: dict[Any, Any] = _NUMBERS | {level: logging.getLevelName(level) for level in _NUMBERS.values()}
"""The number of each level by its name, and the name by its number."""

DISABLE_TRACEBACKS = bool(os.environ.get("DISABLE_TRACEBACKS"))
"""Whether :class:`LogMixin` leaves tracebacks out: set ``DISABLE_TRACEBACKS`` in the environment."""


def get_logger(logger: str | logging.Logger) -> logging.Logger:
    """The logger of that name, silent until the application configures logging."""
    found = logging.getLogger(logger) if isinstance(logger, str) else logger
    if not found.handlers:
        found.addHandler(logging.NullHandler())
    return found


def get_loglevel(level: str | int) -> int:
    """The number of a level that is named, in any case; raises ValueError for a name that is none."""
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    number = known.get(level.upper())
    if number is None:
        raise ValueError(f"no log level {level!r}; known are {', '.join(known)}")
    return number


def setup_logging(loglevel: str | int | None = None, logfile: str | TextIO | None = None) -> logging.Logger:
    """Let the root logger write, unless it does so already, and answer it.

    ``loglevel`` (ERROR unless given) and from there on, to ``logfile``, a path or a stream, or to standard error.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.FileHandler(logfile) if isinstance(logfile, str) else logging.StreamHandler(logfile))
        root.setLevel(get_loglevel(logging.ERROR if loglevel is None else loglevel))
    return root


class LogMixin:
    """Logs under the name of its class; arguments that are :class:`~kombu.utils.functional.lazy` are made when needed.

    More than one argument are a message and what to format it with (``%s``); a single one is logged as it is.
    """

    def debug(self, *args: object, **kwargs: Any) -> None:
        self.log(logging.DEBUG, *args, **kwargs)

    def info(self, *args: object, **kwargs: Any) -> None:
        self.log(logging.INFO, *args, **kwargs)

    def warn(self, *args: object, **kwargs: Any) -> None:
        self.log(logging.WARNING, *args, **kwargs)

    warning = warn

    def error(self, *args: object, **kwargs: Any) -> None:
        self.log(logging.ERROR, *args, **kwargs)

    def critical(self, *args: object, **kwargs: Any) -> None:
        self.log(logging.CRITICAL, *args, **kwargs)

    def log(self, severity: int, *args: object, **kwargs: Any) -> None:
        """Log with any level; ``kwargs`` are those of :meth:`logging.Logger.log`."""
        if not self.logger.isEnabledFor(severity):
            return
        if DISABLE_TRACEBACKS:
            kwargs.pop("exc_info", None)
        message, *values = args or ("",)
        text = self.annotate(safe_str(maybe_evaluate(message)))
        if values:
            self.logger.log(severity, text, *(maybe_evaluate(value) for value in values), **kwargs)
        else:
            self.logger.log(severity, "%s", text, **kwargs)

    def annotate(self, text: str) -> str:
        """What is logged for ``text``: with the name before it."""
        return f"{self.logger_name} - {text}"

    def get_logger(self) -> logging.Logger:
        return get_logger(self.logger_name)

    def get_loglevel(self, level: str | int) -> int:
        return get_loglevel(level)

    def is_enabled_for(self, level: str | int) -> bool:
        return self.logger.isEnabledFor(self.get_loglevel(level))

    @cached_property
    def logger(self) -> logging.Logger:
        return self.get_logger()

    @property
    def logger_name(self) -> str:
        return type(self).__name__


class Log(LogMixin):
    """Logs under a name of its own, by another logger if one is given."""

    def __init__(self, name: str, logger: logging.Logger | None = None) -> None:
        self._logger_name = name
        if logger is not None:
            self.logger = logger

    @property
    def logger_name(self) -> str:
        return self._logger_name
