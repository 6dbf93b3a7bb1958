"""A figure beside what it has to reach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.parts.contenders import OURS
from bench.parts.results import Results

SLOWER = 1.5
"""The Django door may be so many times slower than the SQLAlchemy door."""


@dataclass(frozen=True, slots=True)
class Verdict:
    subject: str
    value: float
    target: float
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        return self.value <= self.target if self.at_most else self.value >= self.target

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        found, wanted = (f"{value:.3g}{self.unit}" for value in (self.value, self.target))
        return f"{self.subject:66} {found:>12}  {sign} {wanted:>9}   {'PASS' if self.reached else 'below'}"


def show(verdicts: Iterable[Verdict]) -> None:
    print(f"\n{'':66} {'found':>12}    {'target':>9}")
    for verdict in verdicts:
        print(verdict, flush=True)


def against(results: Results, group: str, measure: str, target: float, other: tuple[str, str]) -> list[Verdict]:
    """The SQLAlchemy door against another system's measure, where both were taken."""
    if not (results.has(group, "sqla", measure) and results.has(group, *other)):
        return []
    value = results.ratio(group, ("sqla", measure), other)
    return [Verdict(f"{group}: {measure}, sqla / {other[0]} {other[1]}", value, target)]


def doors(results: Results) -> list[Verdict]:
    """How many times slower the Django door is, in every row that both have."""
    sqla, django = OURS
    return [
        Verdict(f"{group}: {measure}, sqla / django", ratio, SLOWER, at_most=True)
        for group in results.groups()
        for measure in results.measures(group)
        if results.has(group, sqla, measure) and results.has(group, django, measure)
        for ratio in [results.ratio(group, (sqla, measure), (django, measure))]
    ]
