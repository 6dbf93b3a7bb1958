"""``sql-drain``: one consumer, each message acknowledged; claimed by the hundred, by five hundreds, by the default."""

from __future__ import annotations

from bench.parts import table, verdicts
from bench.parts.contenders import ALL, OURS, groups
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.rounds import rounds
from bench.parts.starting import run
from bench.parts.verdicts import Verdict, against
from bench.systems.place import Place

HUNDRED, MORE, DEFAULT = "drain by 100", "drain by 500", "drain by default"
SIZES = {HUNDRED: 100, MORE: 500, DEFAULT: 0}
OF_RAW = {"postgresql": 0.5, "mariadb": 0.5, "sqlite": 0.25}
TIMES_PREDECESSOR = {"postgresql": 40.0, "mariadb": 20.0, "sqlite": 80.0}


def measure(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {
            name: run(system, place, "drain", seconds=options.seconds, prefetch=SIZES[name]) for name in _asked(system)
        }

    results = rounds(options.rounds, groups(options), ask)
    table.show("drain, one consumer", results)
    return judged(results)


def judged(results: Results) -> list[Verdict]:
    found = []
    for group in ALL:
        kind = group.place.kind
        found += against(results, group.name, HUNDRED, OF_RAW[kind], ("raw", HUNDRED))
        found += against(results, group.name, HUNDRED, 1.0, ("pgmq", HUNDRED))
        found += against(results, group.name, HUNDRED, TIMES_PREDECESSOR[kind], ("5.7", HUNDRED))
    return found + verdicts.doors(results)


def _asked(system: str) -> tuple[str, ...]:
    """The predecessor claims one at a time whatever it is told; only the library has a default."""
    if system == "5.7":
        return (HUNDRED,)
    return (HUNDRED, MORE, DEFAULT) if system in OURS else (HUNDRED, MORE)
