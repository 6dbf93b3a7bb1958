"""``make bench``: 256-byte JSON, each system in a process of its own, in one run on this machine.

``make bench BENCH='memory imports'`` runs parts of it. The parts ``sql-…`` need servers that write through to the disk
(``KOMBU_DURABLE=1 sh scripts/services.sh start postgresql mariadb``); without them they measure SQLite alone.
Trust the ratios rather than the rates: both depend on the machine, and only the ratios compare like with like.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench import imports, memory, spool
from bench.parts import (
    beanstalk,
    churn,
    depth,
    drain,
    emulated,
    idle,
    latency,
    machine,
    publish,
    rabbitmq,
    redis,
    sharing,
    threads,
    verdicts,
)
from bench.parts.options import Options
from bench.parts.verdicts import Verdict

SQL: dict[str, Callable[[Options], list[Verdict]]] = {
    "sql-publish": publish.measure,
    "sql-drain": drain.measure,
    "sql-four": sharing.measure,
    "sql-threads": threads.measure,
    "sql-latency": latency.measure,
    "sql-depth": depth.measure,
    "sql-idle": idle.measure,
    "sql-churn": churn.measure,
}
BROKERS: dict[str, Callable[[Options], list[Verdict]]] = {
    "rabbitmq-publish": rabbitmq.publish,
    "rabbitmq-drain": rabbitmq.drain,
    "redis-publish": redis.publish,
    "redis-drain": redis.drain,
    "redis-latency": redis.latency,
    "beanstalk-publish": beanstalk.publish,
    "beanstalk-drain": beanstalk.drain,
    **{
        f"{group.kind}-{measure.__name__}": partial(measure, group)
        for group in (emulated.SQS, emulated.MONGODB, emulated.COUCHDB)
        for measure in (emulated.publish, emulated.drain)
    },
}
OTHERS: dict[str, Callable[[], None]] = {
    "memory": memory.rates,
    "imports": imports.main,
    "growth": memory.growth,
    "filesystem": spool.rates,
}
NAMES = (*OTHERS, "sql", *SQL, *BROKERS)
DATABASES = ("sqlite", "postgresql", "mariadb")


def main(arguments: Sequence[str]) -> None:
    asked = _parser().parse_args(arguments)
    parts = _parts(asked.parts)
    for part in parts:
        if part in OTHERS:
            OTHERS[part]()
    if sql := [part for part in parts if part in SQL]:
        databases(sql, _options(asked))
    if brokers := [part for part in parts if part in BROKERS]:
        judge({part: BROKERS[part] for part in brokers}, _options(asked))


def databases(parts: Sequence[str], options: Options) -> None:
    machine.show(options)
    judge({part: SQL[part] for part in parts}, options)


def judge(parts: Mapping[str, Callable[[Options], list[Verdict]]], options: Options) -> None:
    """What is measured beside what it has to reach."""
    found: list[Verdict] = []
    for measure in parts.values():
        judged = measure(options)
        if judged:
            verdicts.show(judged)
        found += judged
    missed = [verdict for verdict in found if not verdict.reached]
    print(f"\n{len(found) - len(missed)} of {len(found)} targets reached" + (", but:" if missed else ""))
    for verdict in missed:
        print(verdict)


def _parts(names: Sequence[str]) -> list[str]:
    """``sql`` stands for all of its parts; no name for all there are."""
    chosen: list[str] = []
    for name in names or [*OTHERS, "sql", *BROKERS]:
        chosen += SQL if name == "sql" else [name]
    for name in chosen:
        if name not in SQL and name not in OTHERS and name not in BROKERS:
            raise SystemExit(f"no part {name!r}: there are {', '.join(NAMES)}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(NAMES))
    parser.add_argument("--databases", default=",".join(DATABASES), help="some of %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a rate is taken over (%(default)s)")
    parser.add_argument("--samples", type=int, default=200, help="of latency (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of churn (%(default)s)")
    return parser


def _options(asked: argparse.Namespace) -> Options:
    databases = tuple(asked.databases.split(","))
    if unknown := [name for name in databases if name not in DATABASES]:
        raise SystemExit(f"no database {unknown[0]!r}: there are {', '.join(DATABASES)}")
    return Options(
        databases=databases,
        rounds=asked.rounds,
        seconds=asked.seconds,
        samples=asked.samples,
        minutes=asked.minutes,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
