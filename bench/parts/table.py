"""Results as text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.parts.results import Results

SYSTEMS = ("raw", "sqla", "django", "pgmq", "5.7")
LEFT, WIDTH = 44, 18


def show(title: str, results: Results, systems: Sequence[str] = SYSTEMS) -> None:
    """Medians of messages a second, and in brackets the milliseconds of the client's CPU for a thousand."""
    columns = "".join(f"{system:>{WIDTH}}" for system in systems)
    print(f"\n{title:{LEFT}}{columns}   messages/s (CPU ms per 1,000)")
    for group in results.groups():
        for measure in results.measures(group):
            cells = "".join(f"{_cell(results, group, system, measure):>{WIDTH}}" for system in systems)
            print(f"{group + ': ' + measure:{LEFT}}{cells}", flush=True)


def _cell(results: Results, group: str, system: str, measure: str) -> str:
    if not results.has(group, system, measure):
        return "-"
    rate, cpu = (results.middle(group, system, measure, what) for what in ("rate", "cpu"))
    return f"{rate:,.0f} ({cpu * 1000:,.1f})"
