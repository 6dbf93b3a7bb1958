"""``sql-publish``: each message committed by itself, and a hundred at once."""

from __future__ import annotations

from bench.parts import table, verdicts
from bench.parts.contenders import ALL, groups
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.rounds import rounds
from bench.parts.starting import run
from bench.parts.verdicts import Verdict, against
from bench.systems.place import Place

SINGLE, BATCHES = "publish", "publish by 100"
OF_RAW_SINGLE = {"postgresql": 0.8, "mariadb": 0.8, "sqlite": 0.4}
OF_RAW_BATCHES = 0.5


def measure(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        found = run(system, place, "publish", seconds=options.seconds, batches=system != "5.7")
        return {name: found[work] for name, work in ((SINGLE, "single"), (BATCHES, "batches")) if work in found}

    results = rounds(options.rounds, groups(options), ask)
    table.show("publish", results)
    return judged(results)


def judged(results: Results) -> list[Verdict]:
    found = []
    for group in ALL:
        found += against(results, group.name, SINGLE, OF_RAW_SINGLE[group.place.kind], ("raw", SINGLE))
        found += against(results, group.name, BATCHES, OF_RAW_BATCHES, ("raw", BATCHES))
    return found + verdicts.doors(results)
