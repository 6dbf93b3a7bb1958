"""``sql-threads``: eight threads publish singly, through one connection and through a pool, beside one thread alone;
and eight with the driver, each through a connection of its own."""

from __future__ import annotations

from bench.parts import table, verdicts
from bench.parts.contenders import ALL, OURS, groups
from bench.parts.options import Options
from bench.parts.results import Taken
from bench.parts.rounds import rounds
from bench.parts.starting import run
from bench.parts.verdicts import Verdict, against
from bench.systems.place import Place

ALONE, SHARED, POOLED = "one thread", "eight, one connection", "eight, a pool"
WAYS = {ALONE: (1, False), SHARED: (8, False), POOLED: (8, True)}
TIMES = 2.0


def measure(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {
            name: run(system, place, "threads", seconds=options.seconds, threads=threads, pooled=pooled)
            for name, (threads, pooled) in WAYS.items()
            if system in OURS or name != SHARED
        }

    results = rounds(options.rounds, groups(options), ask, among=("raw", *OURS))
    table.show("publish by threads", results)
    found = [
        verdict
        for group in ALL
        for measure in (SHARED, POOLED)
        for verdict in against(results, group.name, measure, TIMES, ("sqla", ALONE))
    ]
    return found + verdicts.doors(results)
