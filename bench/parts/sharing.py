"""``sql-four``: four processes drain one queue of PostgreSQL; nobody may get what another one has."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain

from bench.parts import databases, table, verdicts
from bench.parts.contenders import POSTGRESQL, groups
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.rounds import rounds
from bench.parts.starting import run, started
from bench.parts.verdicts import Verdict, against
from bench.systems.place import Place

ONE, FOUR = "one process", "four processes"
COUNT = {"raw": 150_000, "sqla": 80_000, "django": 80_000, "pgmq": 80_000, "5.7": 1_000}
PREFETCH = 100


def measure(options: Options) -> list[Verdict]:
    results = rounds(options.rounds, groups(options, POSTGRESQL), _ask)
    table.show("four processes, by 100", results)
    found = against(results, POSTGRESQL.name, FOUR, 1.0, ("sqla", ONE))
    found += against(results, POSTGRESQL.name, FOUR, 1.0, ("pgmq", FOUR))
    return found + verdicts.doors(results) + _wrong(results)


def _ask(system: str, place: Place) -> dict[str, Taken]:
    return {name: _shared(system, place, processes) for name, processes in ((ONE, 1), (FOUR, 4))}


def _shared(system: str, place: Place, processes: int) -> dict[str, float]:
    count = COUNT[system]
    run(system, place, "fill", count=count)
    before = databases.statistics(place)["deadlocks"]
    with ExitStack() as stack:
        crew = [stack.enter_context(started(system, place, "share", prefetch=PREFETCH)) for _ in range(processes)]
        for each in crew:
            each.hear()
        for each in crew:
            each.say()
        answers = [each.answer() for each in crew]
    seen = list(chain.from_iterable(answer["seen"] for answer in answers))
    if missing := count - len(set(seen)):
        raise SystemExit(f"{system}: {missing} messages of {count} did not arrive at {processes} processes")
    seconds = max(answer["last"] for answer in answers) - min(answer["started"] for answer in answers)
    return {
        "rate": count / seconds,
        "cpu": sum(answer["cpu"] for answer in answers) / count * 1000,
        "seconds": seconds,
        "doubled": len(seen) - count,
        "deadlocks": databases.statistics(place)["deadlocks"] - before,
    }


def _wrong(results: Results) -> list[Verdict]:
    return [
        Verdict(f"PostgreSQL: {what} among four processes, {system}", value, 0, at_most=True)
        for system in ("sqla", "django")
        for what in ("doubled", "deadlocks")
        if results.has(POSTGRESQL.name, system, FOUR)
        for value in [results.most(POSTGRESQL.name, system, FOUR, what)]
    ]
