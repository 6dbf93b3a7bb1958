"""Units of time."""

from __future__ import annotations

from typing import overload

__all__ = ["maybe_s_to_ms"]


@overload
def maybe_s_to_ms(v: None) -> None: ...
@overload
def maybe_s_to_ms(v: float) -> int: ...
def maybe_s_to_ms(v: float | None) -> int | None:
    """Seconds as whole milliseconds; None stays None."""
    return None if v is None else round(float(v) * 1000)
