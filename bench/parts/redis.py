"""``redis-publish``, ``redis-drain`` and ``redis-latency``: beside redis-py alone and Kombu 5.7."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bench.parts import latency as latencies
from bench.parts import table
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.starting import run
from bench.parts.verdicts import Verdict
from bench.systems.place import HOST, Place

PORT = int(os.environ.get("KOMBU_REDIS_PORT", "56379"))
GROUP, OURS = "Redis", "redis"
DATABASES = {"raw": 40, "raw1": 41, OURS: 42, "5.7": 43}
"""Of the server, which has 64: one for each system, emptied before and after."""
SYSTEMS = tuple(DATABASES)
SINGLE, BATCHES, DRAIN = "publish", "publish by 100", "drain by 100"
OF_RAW_SINGLE, OF_RAW_BATCHES, OF_RAW_DRAIN, TIMES_PREDECESSOR = 0.8, 0.4, 0.3, 8.0
PREFETCH = 100
HALF = 1.5


def publish(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        found = run(system, place, "publish", seconds=options.seconds, batches=system != "5.7")
        return {name: found[work] for name, work in ((SINGLE, "single"), (BATCHES, "batches")) if work in found}

    results = _rounds(options, ask, ("raw", OURS, "5.7"))
    table.show("publish; raw: LPUSH, and pipelines of it", results, SYSTEMS)
    return [
        *_against(results, SINGLE, OF_RAW_SINGLE, "raw"),
        *_against(results, BATCHES, OF_RAW_BATCHES, "raw"),
    ]


def drain(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {DRAIN: run(system, place, "drain", seconds=options.seconds, prefetch=PREFETCH)}

    results = _rounds(options, ask, SYSTEMS)
    table.show("drain, one consumer, each acknowledged; raw: pipelines", results, SYSTEMS)
    return [*_against(results, DRAIN, OF_RAW_DRAIN, "raw"), *_against(results, DRAIN, TIMES_PREDECESSOR, "5.7")]


def latency(options: Options) -> list[Verdict]:
    if _missing():
        return []
    print(f"\n{'latency, ms (' + str(options.samples) + ' samples)':36} {'p50':>8} {'p99':>8} {'longest':>8}")
    found = {}
    for system in ("raw1", OURS, "5.7"):
        with _made(system) as place:
            run(system, place, "make")
            found[system] = latencies.measured(system, place, options.samples)
        taken = found[system]
        print(f"{system:36} {taken.half:8.1f} {taken.most:8.1f} {taken.longest:8.1f}", flush=True)
    return [Verdict(f"{GROUP}: latency, p50", found[OURS].half, HALF, at_most=True, unit=" ms")]


def _rounds(options: Options, ask: Callable[[str, Place], Mapping[str, Taken]], systems: tuple[str, ...]) -> Results:
    results = Results()
    if not _missing():
        for _ in range(options.rounds):
            for system in systems:
                with _made(system) as place:
                    run(system, place, "make")
                    results.add(GROUP, system, ask(system, place))
    return results


def _against(results: Results, measure: str, target: float, other: str) -> Iterator[Verdict]:
    if results.has(GROUP, OURS, measure) and results.has(GROUP, other, measure):
        value = results.ratio(GROUP, (OURS, measure), (other, measure))
        yield Verdict(f"{GROUP}: {measure}, {OURS} / {other}", value, target)


def _missing() -> bool:
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError as exc:
        start = "Start it with KOMBU_DURABLE=1 sh scripts/services.sh start redis"
        print(f"{GROUP}: {HOST}:{PORT}: {exc.strerror or exc}. {start}", flush=True)
        return True
    return False


@contextmanager
def _made(system: str) -> Iterator[Place]:
    """A database of the system's own."""
    from redis import Redis

    database = DATABASES[system]
    with Redis(host=HOST, port=PORT, db=database) as client:
        client.flushdb()
        try:
            yield Place(kind="redis", name=str(database), port=PORT)
        finally:
            client.flushdb()
