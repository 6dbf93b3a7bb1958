"""``beanstalk-publish`` and ``beanstalk-drain``: beside greenstalk, and beside the protocol pipelined by hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from bench.parts import table
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.starting import run
from bench.parts.verdicts import Verdict
from bench.systems.place import HOST, Place

PORT = int(os.environ.get("KOMBU_BEANSTALKD_PORT", "51300"))
GROUP, OURS = "beanstalkd", "beanstalk"
SYSTEMS = ("raw", OURS)
SINGLE, BATCHES, DRAIN = "publish", "publish by 100", "drain by 100"
OF_RAW = 0.5
PREFETCH = 100


def publish(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        found = run(system, place, "publish", seconds=options.seconds, batches=True)
        return {SINGLE: found["single"], BATCHES: found["batches"]}

    results = _rounds(options, ask)
    table.show("publish; raw: greenstalk, and puts pipelined", results, SYSTEMS)
    return list(_against(results, BATCHES))


def drain(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {DRAIN: run(system, place, "drain", seconds=options.seconds, prefetch=PREFETCH)}

    results = _rounds(options, ask)
    table.show("drain, one consumer, each acknowledged", results, SYSTEMS)
    return list(_against(results, DRAIN))


def _rounds(options: Options, ask: Callable[[str, Place], Mapping[str, Taken]]) -> Results:
    results = Results()
    if not _missing():
        for _ in range(options.rounds):
            for system in SYSTEMS:
                with _made() as place:
                    run(system, place, "make")
                    results.add(GROUP, system, ask(system, place))
    return results


def _against(results: Results, measure: str) -> Iterator[Verdict]:
    if results.has(GROUP, OURS, measure) and results.has(GROUP, "raw", measure):
        value = results.ratio(GROUP, (OURS, measure), ("raw", measure))
        yield Verdict(f"{GROUP}: {measure}, {OURS} / raw pipelined", value, OF_RAW)


def _missing() -> bool:
    try:
        socket.create_connection((HOST, PORT), timeout=2).close()
    except OSError as exc:
        start = "Start it with KOMBU_DURABLE=1 sh scripts/services.sh start beanstalkd"
        print(f"{GROUP}: {HOST}:{PORT}: {exc.strerror or exc}. {start}", flush=True)
        return True
    return False


@contextmanager
def _made() -> Iterator[Place]:
    """A virtual host, whose tubes are empty before and after, as that of the protocol alone is."""
    place = Place(kind="beanstalk", name="bench", port=PORT)
    _clear()
    try:
        yield place
    finally:
        _clear()


def _clear() -> None:
    import greenstalk

    with greenstalk.Client((HOST, PORT), encoding=None) as client:
        for tube in client.tubes():
            if tube.startswith("bench"):
                client.use(tube)
                _delete_ready(client)


def _delete_ready(client: object) -> None:
    import greenstalk

    assert isinstance(client, greenstalk.Client)
    while True:
        try:
            client.delete(client.peek_ready())
        except greenstalk.NotFoundError:
            return
