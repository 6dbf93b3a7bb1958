"""What was measured, by group, system and measure; and the ratios that come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

Taken = Mapping[str, float]


class Results:
    """A list of what was taken, in the order of the rounds, for each group, system and measure."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], list[Taken]] = {}

    def add(self, group: str, system: str, found: Mapping[str, Taken]) -> None:
        for measure, taken in found.items():
            self._found.setdefault((group, system, measure), []).append(taken)

    def merge(self, other: Results) -> None:
        self._found.update(other._found)

    def has(self, group: str, system: str, measure: str) -> bool:
        return (group, system, measure) in self._found

    def middle(self, group: str, system: str, measure: str, what: str = "rate") -> float:
        return median(taken[what] for taken in self._found[group, system, measure])

    def most(self, group: str, system: str, measure: str, what: str) -> float:
        return max(taken[what] for taken in self._found[group, system, measure])

    def ratio(self, group: str, one: tuple[str, str], other: tuple[str, str]) -> float:
        """Of two pairs of system and measure: the median of the rounds' own ratios, for the machine's speed changes
        from one round to the next."""
        pairs = zip(self._found[group, *one], self._found[group, *other], strict=True)
        return median(mine["rate"] / theirs["rate"] for mine, theirs in pairs)

    def groups(self) -> list[str]:
        return list(dict.fromkeys(group for group, _, _ in self._found))

    def measures(self, group: str) -> Iterator[str]:
        yield from dict.fromkeys(measure for found, _, measure in self._found if found == group)
