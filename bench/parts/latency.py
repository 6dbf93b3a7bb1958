"""``sql-latency``: from the return of publish to the handler of an idle consumer in another process."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from operator import sub

from bench.parts import databases
from bench.parts.contenders import MARIADB_MYSQLCLIENT, MARIADB_PYMYSQL, POSTGRESQL, SQLITE_FULL, Group, groups
from bench.parts.options import Options
from bench.parts.starting import run, started
from bench.parts.verdicts import SLOWER, Verdict
from bench.systems.place import Place

HALF, MOST = 5.0, 25.0
HALF_POLLING = 30.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    half: float
    most: float
    longest: float


def measure(options: Options) -> list[Verdict]:
    print(f"\n{'latency, ms (' + str(options.samples) + ' samples)':36} {'p50':>8} {'p99':>8} {'longest':>8}")
    verdicts = []
    for group in groups(options, POSTGRESQL, SQLITE_FULL, MARIADB_PYMYSQL, MARIADB_MYSQLCLIENT):
        found = {system: _taken(group, system, options.samples) for system in group.systems if system != "raw"}
        for system, latency in found.items():
            print(
                f"{group.name + ': ' + system:36} {latency.half:8.1f} {latency.most:8.1f} {latency.longest:8.1f}",
                flush=True,
            )
        verdicts += _judged(group, found)
    return verdicts


def _taken(group: Group, system: str, samples: int) -> Latency:
    with databases.made(group.place, system) as place:
        run(system, place, "make")
        return measured(system, place, samples)


def measured(system: str, place: Place, samples: int) -> Latency:
    """Where the system was made already."""
    with (
        started(system, place, "receive", count=samples) as receiver,
        started(system, place, "send", count=samples) as sender,
    ):
        for each in (receiver, sender):
            each.hear()
        sender.say()
        returned, entered = sender.answer(), receiver.answer()
    taken = sorted(each / 1e6 for each in starmap(sub, zip(entered, returned, strict=True)))
    return Latency(taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])


def _judged(group: Group, found: dict[str, Latency]) -> list[Verdict]:
    polls = group.place.kind == "mariadb"
    verdicts = []
    for system in ("sqla", "django"):
        if system in found:
            subject = f"{group.name}: latency, {system}"
            limit = HALF_POLLING if polls else HALF
            verdicts.append(Verdict(f"{subject}, p50", found[system].half, limit, at_most=True, unit=" ms"))
            if not polls:
                verdicts.append(Verdict(f"{subject}, p99", found[system].most, MOST, at_most=True, unit=" ms"))
    if {"sqla", "django"} <= found.keys():
        slower = found["django"].half / found["sqla"].half
        verdicts.append(Verdict(f"{group.name}: latency p50, django / sqla", slower, SLOWER, at_most=True))
    return verdicts
