"""What the processes of :mod:`tests.killing` have written, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path


@dataclass(slots=True)
class Ledgers:
    """``batches`` were begun to be published, ``confirmed`` was; ``held`` are for each message the times in which a
    process had it in hand; ``first`` are the deliveries that were said to be the first."""

    batches: list[tuple[str, ...]] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    held: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    first: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    errors: list[str] = field(default_factory=list)

    def lost(self) -> set[str]:
        """Published, and never handled."""
        return self.confirmed - self.held.keys()

    def invented(self) -> set[str]:
        """Handled, and never published."""
        return self.held.keys() - {id for batch in self.batches for id in batch}

    def torn(self) -> list[tuple[str, ...]]:
        """Batches of which a part arrived."""
        return [batch for batch in self.batches if 0 < len(self.held.keys() & set(batch)) < len(batch)]

    def doubled(self) -> set[str]:
        """Stored twice: each of the two was delivered for the first time."""
        return {id for id, times in self.first.items() if times > 1}

    def shared(self) -> set[str]:
        """In the hands of two processes at the same time."""
        return {
            id
            for id, times in self.held.items()
            if any(end > begin for (_, end), (begin, _) in pairwise(sorted(times)))
        }


def read(folder: Path) -> Ledgers:
    lines = [line.split(" ") for file in folder.glob("*.ledger") for line in file.read_text().splitlines()]
    deaths = {rest[0]: float(at) for what, _, at, *rest in lines if what == "kill"}
    found = Ledgers(kills=len(deaths))
    begun: dict[tuple[str, str], float] = {}
    for what, who, at, *rest in lines:
        match what:
            case "about":
                found.batches.append(tuple(rest))
            case "done":
                found.confirmed.update(rest)
            case "begin" | "again":
                begun[who, rest[0]] = float(at)
                found.first[rest[0]] += what == "begin"
            case "end":
                found.held.setdefault(rest[0], []).append((begun.pop((who, rest[0])), float(at)))
            case "error":
                found.errors.append(" ".join(rest))
    for (who, id), at in begun.items():
        found.held.setdefault(id, []).append((at, deaths.get(who, inf)))
    return found
