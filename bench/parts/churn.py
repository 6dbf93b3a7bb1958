"""``sql-churn``: one process publishes and another drains, at full speed for minutes; is it as fast in the end?"""

from __future__ import annotations

import threading

from bench.parts import databases
from bench.parts.contenders import POSTGRESQL, SQLITE_FULL, Group, groups
from bench.parts.options import Options
from bench.parts.starting import Child, run, started
from bench.parts.verdicts import Verdict
from bench.systems.place import Place

AT_LEAST = 0.8
BETWEEN = 10
"""Thousands of messages that may lie between the two."""
PREFETCH = 100
MEBIBYTE = 1 << 20


def measure(options: Options) -> list[Verdict]:
    verdicts = []
    for group in groups(options, POSTGRESQL, SQLITE_FULL):
        rates, notes = _churned(group, options.minutes)
        print(f"\nchurn, {group.name}, sqla: messages/s in each tenth of {options.minutes:g} minutes, drained by 100")
        print("  " + " ".join(f"{rate:9,.0f}" for rate in rates))
        for note in notes:
            print(f"  {note}", flush=True)
        verdicts.append(Verdict(f"{group.name}: churn, last tenth / first", rates[-1] / rates[0], AT_LEAST))
    return verdicts


def _churned(group: Group, minutes: float) -> tuple[list[float], list[str]]:
    seconds, parts = minutes * 60, 10
    with databases.made(group.place, "sqla") as place:
        run("sqla", place, "make")
        notes: list[str] = []
        with (
            started("sqla", place, "churn consume", seconds=seconds, parts=parts, prefetch=PREFETCH) as consumer,
            started("sqla", place, "churn publish") as publisher,
        ):
            over = threading.Event()
            watch = threading.Thread(target=_watch, args=(place, seconds / 5, notes, over))
            consumer.hear()
            for _ in range(BETWEEN):
                publisher.say("more")
            consumer.say()
            watch.start()
            counts = _passed_on(consumer, publisher)
            over.set()
            watch.join()
    return [count / (seconds / parts) for count in counts], notes


def _passed_on(consumer: Child, publisher: Child) -> list[int]:
    """For each thousand that was drained another one is published."""
    while (line := consumer.hear()) == "more":
        publisher.say("more")
    publisher.deaf()
    publisher.answer()
    return list(map(int, line.strip("[]").split(",")))


def _watch(place: Place, every: float, notes: list[str], over: threading.Event) -> None:
    elapsed = 0.0
    while not over.wait(every):
        elapsed += every
        notes.append(f"after {elapsed:4.0f} s: {_size(place)}")


def _size(place: Place) -> str:
    if place.kind == "postgresql":
        found = databases.statistics(place)
        return f"{found['dead']:,} dead rows, {found['size'] / MEBIBYTE:,.1f} MiB"
    return databases.files(place)
