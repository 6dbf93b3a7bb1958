"""Text that people write: version numbers, and names that are nearly right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

__all__ = ["escape_regex", "fmatch_best", "fmatch_iter", "version_info_t", "version_string_as_tuple"]

_VERSION = re.compile(
    r"""\s* (?P<major>\d+) (?: \.(?P<minor>\d+) )? (?: \.(?P<micro>\d+) )?
        \.? (?P<releaselevel>[a-z][a-z0-9]*)? (?: [.+-](?P<serial>.+?) )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)


class version_info_t(NamedTuple):
    """A version that can be compared with others."""

    major: int
    minor: int
    micro: int
    releaselevel: str
    serial: str


def version_string_as_tuple(version: str) -> version_info_t:
    """``"3.3.1a3-40c32"`` as ``(3, 3, 1, "a3", "40c32")``; what is left out is 0 or empty.

    Raises ValueError for what does not begin with a number.
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is not a version such as '1.2.3' or '1.2.3rc1'")
    return version_info_t(
        int(found["major"]),
        int(found["minor"] or 0),
        int(found["micro"] or 0),
        found["releaselevel"] or "",
        found["serial"] or "",
    )


def fmatch_best(needle: str, haystack: Iterable[str], min_ratio: float = 0.6) -> str | None:
    """The word that is most like ``needle``, or None where none is like it."""
    best = max(fmatch_iter(needle, haystack, min_ratio), key=lambda match: match[0], default=None)
    return None if best is None else best[1]


def fmatch_iter(needle: str, haystack: Iterable[str], min_ratio: float = 0.6) -> Iterator[tuple[float, str]]:
    """Each word that is like ``needle``, with how much (0 to 1), in the order given."""
    for word in haystack:
        ratio = SequenceMatcher(None, needle, word).ratio()
        if ratio >= min_ratio:
            yield ratio, word


def escape_regex(p: str, white: str = "") -> str:
    """``p`` as a regular expression that matches itself, but for the characters in ``white``, left as they are."""
    return "".join(char if char in white else re.escape(char) for char in p)
