"""Whether a name matches a pattern: the kinds of patterns by their names, and room for others."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from kombu.exceptions import KombuError

__all__ = ["MatcherNotInstalled", "MatcherRegistry", "match", "register", "registry", "unregister"]

Matcher = Callable[..., object]
"""Called with the name, the pattern and the ``matcher_kwargs``; what it answers is true or false."""


class MatcherNotInstalled(KombuError):
    """No kind of pattern has this name."""


class MatcherRegistry:
    """The kinds of patterns: ``glob`` (``*``, ``?``, ``[…]``; the default) and ``pcre`` (regular expressions)."""

    default = "glob"

    def __init__(self) -> None:
        self._matchers: dict[str, Matcher] = {"glob": fnmatchcase, "pcre": _begins}

    def register(self, name: str, matcher: Matcher) -> None:
        """Add a kind of pattern, or replace it."""
        self._matchers[name] = matcher

    def unregister(self, name: str) -> None:
        """Forget a kind of pattern; raises :class:`MatcherNotInstalled` where there is none of this name."""
        self._named(name)
        del self._matchers[name]

    def match(
        self,
        data: str,
        pattern: str,
        matcher: str | None = None,
        matcher_kwargs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Whether ``data`` matches; raises :class:`MatcherNotInstalled`, and ValueError for a bad pattern."""
        found = self._named(matcher or self.default)
        try:
            return bool(found(data, pattern, **(matcher_kwargs or {})))
        except re.error as exc:
            raise ValueError(f"{pattern!r} is not a regular expression: {exc}") from exc

    def _named(self, name: str) -> Matcher:
        if name not in self._matchers:
            raise MatcherNotInstalled(f"no matcher {name!r}; known are {', '.join(self._matchers)}")
        return self._matchers[name]


def _begins(data: str, pattern: str) -> bool:
    """``data`` begins with what the regular expression describes; end the pattern with ``$`` for all of it."""
    return re.match(pattern, data) is not None


registry = MatcherRegistry()
"""The one that remote control uses."""

match = registry.match
register = registry.register
unregister = registry.unregister
