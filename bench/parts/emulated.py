"""``sqs-…``, ``mongodb-…`` and ``couchdb-…``, publish and drain: beside boto3, pymongo and httpx alone.

The servers here are programs that play the real ones: how many requests a message takes is what would be true of those,
the rates are what these programs manage, and only say how much is ours and how much theirs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from bench.parts import table
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.starting import run
from bench.parts.verdicts import Verdict
from bench.systems.place import HOST, Place

SINGLE, BATCHES, DRAIN = "publish", "publish by 100", "drain by 100"
PREFETCH = 100
REQUESTS = 0.25
"""A message, at most, when a full queue is drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """``ours`` is this library's scheme; ``played_by`` is the program, ``batches`` what the driver alone does at once;
    ``clear`` removes what is in a place."""

    name: str
    kind: str
    ours: str
    port: int
    played_by: str
    batches: str
    clear: Callable[[Place], None]

    @property
    def systems(self) -> tuple[str, str]:
        return "raw", self.ours


def publish(group: Group, options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        found = run(system, place, "publish", seconds=options.seconds, batches=True, requests=True)
        return {SINGLE: found["single"], BATCHES: found["batches"]}

    results = _rounds(group, options, ask)
    _show("publish", group, results)
    return []


def drain(group: Group, options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {DRAIN: run(system, place, "drain", seconds=options.seconds, prefetch=PREFETCH, requests=True)}

    results = _rounds(group, options, ask)
    _show("drain, each acknowledged", group, results)
    if not results.has(group.name, group.ours, DRAIN):
        return []
    found = results.most(group.name, group.ours, DRAIN, "requests")
    return [Verdict(f"{group.name}: {DRAIN}, {group.ours}: requests a message", found, REQUESTS, at_most=True)]


def _show(title: str, group: Group, results: Results) -> None:
    table.show(f"{title}; emulator: {group.played_by}", results, group.systems)
    for measure in results.measures(group.name):
        found = (results.middle(group.name, system, measure, "requests") for system in group.systems)
        cells = "".join(f"{each:>{table.WIDTH}.3f}" for each in found)
        print(f"{f'{group.name}: {measure}':{table.LEFT}}{cells}   requests a message")
    print(f"raw: {group.batches}", flush=True)


def _rounds(group: Group, options: Options, ask: Callable[[str, Place], Mapping[str, Taken]]) -> Results:
    results = Results()
    if not _missing(group):
        for _ in range(options.rounds):
            for system in group.systems:
                with _made(group, system) as place:
                    run(system, place, "make")
                    results.add(group.name, system, ask(system, place))
    return results


def _missing(group: Group) -> bool:
    try:
        socket.create_connection((HOST, group.port), timeout=2).close()
    except OSError as exc:
        start = f"Start it with KOMBU_DURABLE=1 sh scripts/services.sh start {group.kind}"
        print(f"{group.name}: {HOST}:{group.port}: {exc.strerror or exc}. {start}", flush=True)
        return True
    return False


@contextmanager
def _made(group: Group, system: str) -> Iterator[Place]:
    """A place of the system's own."""
    role = "raw" if system == "raw" else "ours"
    place = Place(kind=group.kind, name=f"bench-{os.getpid()}-{role}", port=group.port)
    group.clear(place)
    try:
        yield place
    finally:
        group.clear(place)


def _clear_sqs(place: Place) -> None:
    import boto3

    client = boto3.client(
        "sqs",
        endpoint_url=f"http://{HOST}:{place.port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    for url in client.list_queues(QueueNamePrefix=place.name).get("QueueUrls", []):
        client.delete_queue(QueueUrl=url)
    client.close()


def _clear_mongodb(place: Place) -> None:
    from pymongo import MongoClient

    with MongoClient[dict[str, object]](HOST, place.port, directConnection=True) as client:
        client.drop_database(place.name)


def _clear_couchdb(place: Place) -> None:
    import httpx

    httpx.delete(f"http://{HOST}:{place.port}/{place.name}", timeout=60, trust_env=False)


SQS = Group(
    name="SQS",
    kind="sqs",
    ours="sqs+http",
    port=int(os.environ.get("KOMBU_SQS_PORT", "54566")),
    played_by="ministack",
    batches="boto3, ten a request, which is the service's most",
    clear=_clear_sqs,
)
MONGODB = Group(
    name="MongoDB",
    kind="mongodb",
    ours="mongodb",
    port=int(os.environ.get("KOMBU_MONGODB_PORT", "57017")),
    played_by="secantusdb",
    batches="pymongo, insert_many; find, update_many and delete_many",
    clear=_clear_mongodb,
)
COUCHDB = Group(
    name="CouchDB",
    kind="couchdb",
    ours="couchdb",
    port=int(os.environ.get("KOMBU_COUCHDB_PORT", "55984")),
    played_by="pouchdb-server",
    batches="httpx, _bulk_docs; _all_docs and twice _bulk_docs",
    clear=_clear_couchdb,
)
