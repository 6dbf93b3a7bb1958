"""The demo's comparison sees what goes wrong: with good numbers it says so, with any other it names the mistake."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from rehearsal.recompute import Totals, recompute
from rehearsal.report import Result

WEEK = Path(__file__).resolve().parent.parent / "testproject" / "data" / "nyc-departures-week1.csv"
EXPECTED = recompute(WEEK, 50)
FLIGHT = min(EXPECTED.totals.flights)
ROLLED_BACK = min(EXPECTED.rolled_back)


def result(change: Callable[[Totals], object] = lambda found: None) -> Result:
    found = deepcopy(EXPECTED.totals)
    change(found)
    return Result(
        title="same database",
        expected=EXPECTED,
        found=found,
        rolled_back=len(EXPECTED.rolled_back),
        redelivered=0,
        skipped=0,
        rate=1.0,
        memory=None,
        seconds=1.0,
        in_all=1.0,
    )


def test_the_weeks_numbers_are_those_of_the_file() -> None:
    line = "published 5978 · processed 5978 · lost 0 · duplicated 0 · rolled back 121, never delivered · 01.0 s"
    assert result().closing_line() == f"same database: {line}"
    assert result().mistakes() == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda found: found.effects.pop(("board", FLIGHT)), "lost 1"),
        (lambda found: found.effects.update([("board", FLIGHT)]), "duplicated 1"),
        (lambda found: found.effects.update([("board", ROLLED_BACK)]), "1 DELIVERED"),
        (lambda found: found.flights.discard(FLIGHT), "published 5977"),
    ],
    ids=["lost", "doubled", "rolled back and delivered", "not imported"],
)
def test_a_wrong_number_shows_in_the_closing_line_and_is_a_mistake(
    change: Callable[[Totals], object], text: str
) -> None:
    wrong = result(change)
    assert text in wrong.closing_line()
    assert wrong.mistakes()


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.carriers.update(UA=(1, 1)),
        lambda found: found.cancellations.update(EWR=0),
        lambda found: found.boards.update(EWR=(1, "")),
        lambda found: found.carriers.pop("UA"),
    ],
    ids=["carrier", "cancellations", "board", "carrier missing"],
)
def test_a_wrong_total_is_a_mistake(change: Callable[[Totals], object]) -> None:
    assert result(change).mistakes()
