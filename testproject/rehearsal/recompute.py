"""What the site must show in the end, worked out from the CSV file alone: nothing here is the site's code."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROW = dict[str, str]


@dataclass(frozen=True, slots=True)
class Totals:
    """The results of a run. ``effects`` counts what each consumer did for each flight."""

    flights: set[str] = field(default_factory=set)
    carriers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Departures and minutes late of each carrier."""
    cancellations: dict[str, int] = field(default_factory=dict)
    boards: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Number of events and latest flight of each airport."""
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Expected:
    totals: Totals
    rolled_back: set[str]


def recompute(file: Path, rollback_every: int) -> Expected:
    """The totals of ``file`` when every ``rollback_every``-th row never happened."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    skipped = rows[rollback_every - 1 :: rollback_every]
    happened = [row for number, row in enumerate(rows, start=1) if number % rollback_every]
    return Expected(totals=_totals(happened), rolled_back={_key(row) for row in skipped})


def _totals(rows: list[ROW]) -> Totals:
    totals = Totals()
    for row in rows:
        key, origin = _key(row), row["origin"]
        totals.flights.add(key)
        if row["dep_time"] == "NA":
            totals.cancellations[origin] = totals.cancellations.get(origin, 0) + 1
            totals.effects["cancellations", key] += 1
        else:
            departures, minutes = totals.carriers.get(row["carrier"], (0, 0))
            totals.carriers[row["carrier"]] = (departures + 1, minutes + int(row["dep_delay"]))
            totals.effects["delays", key] += 1
        events, latest = totals.boards.get(origin, (0, ""))
        totals.boards[origin] = (events + 1, max(latest, key))
        totals.effects["board", key] += 1
    return totals


def _key(row: ROW) -> str:
    """The flight's name in events: scheduled time in UTC, then carrier and number, then airport."""
    hour, minute = row["time_hour"][:13], int(row["sched_dep_time"]) % 100
    return f"{hour}:{minute:02d}Z {row['carrier']}{int(row['flight']):04d} {row['origin']}"
