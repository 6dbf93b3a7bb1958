"""All systems in turn, round after round, each on an empty database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bench.parts import databases
from bench.parts.contenders import Group
from bench.parts.results import Results, Taken
from bench.parts.starting import run
from bench.systems.place import Place

Ask = Callable[[str, Place], Mapping[str, Taken]]
"""What is taken of a system on its database, by measure."""


def rounds(number: int, groups: Iterable[Group], ask: Ask, among: tuple[str, ...] | None = None) -> Results:
    """``among`` these systems, if they are named."""
    results, chosen = Results(), list(groups)
    for _ in range(number):
        for group in chosen:
            for system in group.systems:
                if among is None or system in among:
                    results.add(group.name, system, one(system, group.place, ask))
    return results


def one(system: str, place: Place, ask: Ask) -> Mapping[str, Taken]:
    """On a database that is gone afterwards."""
    with databases.made(place, system) as own:
        run(system, own, "make")
        return ask(system, own)
