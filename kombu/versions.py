"""The library's version, in parts that can be compared."""

from __future__ import annotations

from typing import NamedTuple

from kombu import VERSION

__all__ = ["version_info", "version_info_t"]


class version_info_t(NamedTuple):
    """What :data:`version_info` is."""

    major: int
    minor: int
    micro: int
    releaselevel: str = ""
    serial: str = ""


version_info = version_info_t(*VERSION)
