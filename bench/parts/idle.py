"""``sql-idle``: what a consumer costs that waits at an empty queue."""

from __future__ import annotations

from bench.parts import databases
from bench.parts.contenders import MARIADB_MYSQLCLIENT, OURS, POSTGRESQL, SQLITE_FULL, Group, groups
from bench.parts.options import Options
from bench.parts.starting import run, started
from bench.parts.verdicts import Verdict

SECONDS = 30
PERCENT, STATEMENTS = 1.0, 5.0


def measure(options: Options) -> list[Verdict]:
    print(f"\n{'idle consumer, ' + str(SECONDS) + ' s':36} {'% of a core':>12} {'statements/s':>14}")
    verdicts = []
    for group in groups(options, POSTGRESQL, SQLITE_FULL, MARIADB_MYSQLCLIENT):
        for system in OURS:
            percent, statements = _taken(group, system)
            subject = f"{group.name}: idle consumer, {system}"
            asked = "-" if statements is None else f"{statements:.1f}"
            print(f"{group.name + ': ' + system:36} {percent:12.2f} {asked:>14}", flush=True)
            verdicts.append(Verdict(subject, percent, PERCENT, at_most=True, unit=" %"))
            if statements is not None and group is POSTGRESQL:
                verdicts.append(Verdict(subject, statements, STATEMENTS, at_most=True, unit=" stmt/s"))
    return verdicts


def _taken(group: Group, system: str) -> tuple[float, float | None]:
    """Each statement of an idle consumer is a transaction; MariaDB counts statements of the whole server."""
    with databases.made(group.place, system) as place:
        run(system, place, "make")
        with started(system, place, "idle", seconds=SECONDS) as child:
            child.hear()
            before = databases.asked(place)
            child.hear()
            after = databases.asked(place)
            percent = child.answer()["percent"]
    statements = None if before is None or after is None else (after - before) / SECONDS
    return percent, statements
