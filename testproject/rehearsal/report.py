"""What the demo shows: progress, the table of carriers, and a closing line a way."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .observe import Glance
from .recompute import Expected, Totals

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one way. Times are seconds: ``seconds`` from the import's start until all was drained,
    ``in_all`` with setting up and stopping. ``memory`` is a consumer's highest, in bytes."""

    title: str
    expected: Expected
    found: Totals
    rolled_back: int
    redelivered: int
    skipped: int
    rate: float
    memory: int | None
    seconds: float
    in_all: float

    @property
    def processed(self) -> int:
        """Flights for which every bound consumer did something."""
        return sum(
            ("board", flight) in self.found.effects
            and (("delays", flight) in self.found.effects or ("cancellations", flight) in self.found.effects)
            for flight in self.found.flights
        )

    @property
    def lost(self) -> int:
        return len(self.found.flights) - self.processed

    @property
    def duplicated(self) -> int:
        return self.found.effects.total() - len(self.found.effects)

    @property
    def delivered_nonetheless(self) -> int:
        """Rolled-back flights that somebody heard of."""
        return len({flight for _, flight in self.found.effects} & self.expected.rolled_back)

    def mistakes(self) -> list[str]:
        """Every number that is not what the file says."""
        expected, found = self.expected.totals, self.found
        return [
            *_differences("flight", dict.fromkeys(expected.flights), dict.fromkeys(found.flights)),
            *_differences("carrier", expected.carriers, found.carriers),
            *_differences("cancellations", expected.cancellations, found.cancellations),
            *_differences("board", expected.boards, found.boards),
            *_differences("effect", expected.effects, found.effects),
            *_differences(
                "importer", {"rolled back": len(self.expected.rolled_back)}, {"rolled back": self.rolled_back}
            ),
        ]

    def closing_line(self) -> str:
        never = self.delivered_nonetheless
        return (
            f"{self.title}: published {len(self.found.flights)} · processed {self.processed}"
            f" · lost {self.lost} · duplicated {self.duplicated}"
            f" · rolled back {self.rolled_back}, {f'{never} DELIVERED' if never else 'never delivered'}"
            f" · {self.seconds:04.1f} s"
        )

    def figures(self) -> str:
        memory = "unknown" if self.memory is None else f"{self.memory / 2**20:.0f} MB"
        return (
            f"  redelivered {self.redelivered}, skipped by the inbox {self.skipped}"
            f" · imported {self.rate:.0f} a second · peak memory of a consumer {memory}"
            f" · {self.in_all:.1f} s with setting up"
        )


class Screen:
    """A progress bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        self.console = Console(highlight=False)

    def say(self, text: str) -> None:
        """One line, however long."""
        self.console.print(text, soft_wrap=True, markup=False)

    @contextmanager
    def progress(self, flights: int, effects: int) -> Iterator[Meter]:
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            yield Meter(self, bars, flights, effects)

    def mistakes(self, result: Result) -> None:
        for mistake in result.mistakes()[:20]:
            self.say(f"wrong: {mistake}")

    def table(self, result: Result) -> None:
        table = Table(title=f"{result.title}: delays by carrier")
        for column in ("carrier", "departures", "minutes late", "on average", "by the file"):
            table.add_column(column, justify="left" if column == "carrier" else "right")
        expected, found = result.expected.totals.carriers, result.found.carriers
        for carrier in sorted(expected.keys() | found.keys()):
            departures, minutes = found.get(carrier, (0, 0))
            same = expected.get(carrier) == (departures, minutes)
            average = f"{minutes / departures:.1f}" if departures else "-"
            table.add_row(carrier, f"{departures}", f"{minutes}", average, "the same" if same else "DIFFERENT")
        self.console.print(table)


class Meter:
    """How far one way is."""

    def __init__(self, screen: Screen, bars: Progress, flights: int, effects: int) -> None:
        self.screen, self.bars = screen, bars
        self.flights, self.effects = flights, effects
        self.quarter = 0
        self.imported = bars.add_task("imported", total=flights)
        self.processed = bars.add_task("effects", total=effects)

    def show(self, glance: Glance) -> None:
        self.bars.update(self.imported, completed=glance.imported)
        self.bars.update(self.processed, completed=glance.effects)
        quarter = 4 * glance.imported // max(self.flights, 1)
        if self.bars.disable and quarter > self.quarter:
            self.quarter = quarter
            self.screen.say(f"  imported {glance.imported} of {self.flights}, effects {glance.effects}")


def _differences(what: str, expected: Mapping[Key, object], found: Mapping[Key, object]) -> list[str]:
    missing = object()
    return [
        f"{what} {_name(key)}: {_value(expected, key)} by the file, {_value(found, key)} in the site"
        for key in sorted(expected.keys() | found.keys(), key=str)
        if expected.get(key, missing) != found.get(key, missing)
    ]


def _name(key: object) -> str:
    return " of ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _value(values: Mapping[Key, object], key: Key) -> str:
    if key not in values:
        return "not there"
    return "there" if values[key] is None else str(values[key])
