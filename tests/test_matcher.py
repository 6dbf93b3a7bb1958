"""A name matches a pattern of the kind that was asked for, and only that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kombu import matcher
from kombu.exceptions import KombuError
from kombu.matcher import MatcherNotInstalled, MatcherRegistry, match


@pytest.fixture
def suffix() -> Iterator[str]:
    def ends(data: str, pattern: str, case: bool = True) -> bool:
        return data.endswith(pattern) if case else data.lower().endswith(pattern.lower())

    matcher.register("suffix", ends)
    yield "suffix"
    matcher.unregister("suffix")


@pytest.mark.parametrize(
    ("pattern", "kind", "matches"),
    [
        ("celery@*", None, True),
        ("celery@web?", None, True),
        ("celery@web[2-9]", None, False),
        ("CELERY@*", None, False),
        ("celery@", None, False),
        ("celery@*", "glob", True),
        (r"celery@\w+\d$", "pcre", True),
        ("celery", "pcre", True),
        ("web1", "pcre", False),
        ("celery@*", "pcre", True),
    ],
)
def test_a_name_matches_or_not(pattern: str, kind: str | None, matches: bool) -> None:
    assert match("celery@web1", pattern, kind) is matches


def test_a_kind_of_ones_own_takes_what_it_asks_for(suffix: str) -> None:
    assert match("web1", "B1", suffix, {"case": False})
    assert not match("web1", "B1", suffix)


def test_a_kind_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(MatcherNotInstalled, match=r"'sql'; known are glob, pcre"):
        match("a", "b", "sql")
    with pytest.raises(MatcherNotInstalled, match="'sql'"):
        matcher.unregister("sql")
    assert issubclass(MatcherNotInstalled, KombuError)


def test_what_is_unregistered_is_gone() -> None:
    registry = MatcherRegistry()
    registry.unregister("pcre")
    with pytest.raises(MatcherNotInstalled, match="pcre"):
        registry.match("a", "a", "pcre")
    assert registry.match("a", "a")


def test_a_bad_regular_expression_is_named() -> None:
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        match("a", "(", "pcre")
