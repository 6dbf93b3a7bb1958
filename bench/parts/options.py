"""What a run of the benchmark is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    databases: tuple[str, ...]
    """Kinds: sqlite, postgresql, mariadb."""
    rounds: int
    """How often everything is measured; medians are shown."""
    seconds: float
    """How long one measurement of a rate lasts at least."""
    samples: int
    """Messages whose latency is taken."""
    minutes: float
    """Of churn."""
