"""Versions can be compared, near misses are recognised, and seconds are milliseconds."""

from __future__ import annotations

import re

import pytest

from kombu.utils.text import escape_regex, fmatch_best, fmatch_iter, version_string_as_tuple
from kombu.utils.time import maybe_s_to_ms


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3", (3, 0, 0, "", "")),
        ("3.3", (3, 3, 0, "", "")),
        ("3.3.1", (3, 3, 1, "", "")),
        ("3.3.1a3", (3, 3, 1, "a3", "")),
        ("3.3.1.a3", (3, 3, 1, "a3", "")),
        ("3.3.1a3-40c32", (3, 3, 1, "a3", "40c32")),
        ("3.3.1.a3.40c32", (3, 3, 1, "a3", "40c32")),
        ("7.0.15", (7, 0, 15, "", "")),
        ("2.4rc1", (2, 4, 0, "rc1", "")),
        ("3.13.1+deb12", (3, 13, 1, "", "deb12")),
        ("4.0.1.7", (4, 0, 1, "", "7")),
    ],
)
def test_a_version_is_taken_apart(text: str, version: tuple[object, ...]) -> None:
    assert version_string_as_tuple(text) == version


def test_versions_are_ordered_by_number_and_not_by_text() -> None:
    assert version_string_as_tuple("3.10.0") > version_string_as_tuple("3.9.1")
    assert version_string_as_tuple("3.10").minor == 10


@pytest.mark.parametrize("text", ["", "new", "v1", "-1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        version_string_as_tuple(text)


def test_the_best_match_is_the_one_most_alike() -> None:
    known = ["redis", "amqp", "pyamqp", "memory"]
    assert fmatch_best("ampq", known) == "amqp"
    assert fmatch_best("memroy", known) == "memory"
    assert fmatch_best("zookeeper", known) is None
    assert fmatch_best("amqp", []) is None


def test_all_that_are_alike_are_told_with_how_much() -> None:
    found = {word: ratio for ratio, word in fmatch_iter("amqp", ["redis", "amqp", "pyamqp"])}
    assert found == {"amqp": 1.0, "pyamqp": 0.8}
    assert list(fmatch_iter("amqp", ["pyamqp"], min_ratio=0.9)) == []


@pytest.mark.parametrize("text", ["a.b", "(x)*", "\\d+", "a\nb", "[^a]|$", "\x00"])
def test_an_escaped_text_matches_itself_only(text: str) -> None:
    assert re.fullmatch(escape_regex(text), text)
    assert not re.fullmatch(escape_regex(text), text + text)


def test_what_shall_keep_its_meaning_does() -> None:
    assert re.fullmatch(escape_regex("a.*", white="*"), "a...")
    assert not re.fullmatch(escape_regex("a.*", white="*"), "abc")


@pytest.mark.parametrize(("seconds", "milliseconds"), [(1, 1000), (0.29, 290), (1.001, 1001), (0, 0), (None, None)])
def test_seconds_are_milliseconds(seconds: float | None, milliseconds: int | None) -> None:
    assert maybe_s_to_ms(seconds) == milliseconds
