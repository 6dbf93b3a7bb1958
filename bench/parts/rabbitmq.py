"""``rabbitmq-publish`` and ``rabbitmq-drain``: persistent messages, beside py-amqp and pika alone, Kombu 5.7 and
aio-pika."""

from __future__ import annotations

import json
import os
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from urllib.error import URLError

from bench.parts import table
from bench.parts.options import Options
from bench.parts.results import Results, Taken
from bench.parts.starting import run
from bench.parts.verdicts import Verdict
from bench.systems.place import HOST, Place

PORT = int(os.environ.get("KOMBU_RABBITMQ_PORT", "55672"))
MANAGEMENT_PORT = int(os.environ.get("KOMBU_RABBITMQ_MANAGEMENT_PORT", "55673"))
GROUP = "RabbitMQ"
SYSTEMS = ("raw", "raw pika", "amqp", "pika", "5.7", "aio-pika")
OURS = ("amqp", "pika")
RAW = {"amqp": ("raw",), "pika": ("raw", "raw pika")}
SINGLE, BATCHES, DRAIN = "publish, confirmed", "publish by 100", "drain by 100"
OF_RAW_DRAIN, OF_RAW_SINGLE, OF_RAW_UNCONFIRMED = 0.9, 0.95, 0.5
PREFETCH = 100


def publish(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        found = run(system, place, "publish", seconds=options.seconds, batches=system != "5.7")
        names = {"batches": BATCHES, "single": f"{SINGLE[:7]}, unconfirmed" if system == "5.7" else SINGLE}
        return {names[work]: taken for work, taken in found.items()}

    results = _rounds(options, ask)
    table.show("publish; raw has no confirms for a batch", results, SYSTEMS)
    return [
        verdict
        for system in OURS
        for measure, target in ((SINGLE, OF_RAW_SINGLE), (BATCHES, OF_RAW_UNCONFIRMED))
        for raw in RAW[system]
        for verdict in _against(results, system, measure, target, raw)
    ]


def drain(options: Options) -> list[Verdict]:
    def ask(system: str, place: Place) -> dict[str, Taken]:
        return {DRAIN: run(system, place, "drain", seconds=options.seconds, prefetch=PREFETCH)}

    results = _rounds(options, ask)
    table.show("drain, one consumer, each acknowledged", results, SYSTEMS)
    return [
        verdict
        for system in OURS
        for other, target in (*((raw, OF_RAW_DRAIN) for raw in RAW[system]), ("5.7", 1.0), ("aio-pika", 1.0))
        for verdict in _against(results, system, DRAIN, target, other)
    ]


def _rounds(options: Options, ask: Callable[[str, Place], Mapping[str, Taken]]) -> Results:
    results = Results()
    missing = _missing()
    if missing:
        print(f"{GROUP}: {missing}. Start it with KOMBU_DURABLE=1 sh scripts/services.sh start rabbitmq", flush=True)
        return results
    for _ in range(options.rounds):
        for system in SYSTEMS:
            if system not in ("raw pika", "pika") or find_spec("pika"):
                with _made(system) as place:
                    run(system, place, "make")
                    results.add(GROUP, system, ask(system, place))
    return results


def _against(results: Results, system: str, measure: str, target: float, other: str) -> Iterator[Verdict]:
    if results.has(GROUP, system, measure) and results.has(GROUP, other, measure):
        value = results.ratio(GROUP, (system, measure), (other, measure))
        yield Verdict(f"{GROUP}: {measure}, {system} / {other}", value, target)


def _missing() -> str | None:
    try:
        _request("GET", "/api/overview")
    except URLError as exc:
        return f"no management API at {HOST}:{MANAGEMENT_PORT}: {exc.reason}"
    return None


@contextmanager
def _made(system: str) -> Iterator[Place]:
    """A virtual host of the system's own."""
    name = f"kombu-bench-{os.getpid()}-{system.replace(' ', '-')}"
    _request("PUT", f"/api/vhosts/{name}", {})
    _request("PUT", f"/api/permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
    try:
        yield Place(kind="rabbitmq", name=name, port=PORT)
    finally:
        _request("DELETE", f"/api/vhosts/{name}")


def _request(method: str, path: str, body: object = None) -> None:
    request = urllib.request.Request(
        f"http://{HOST}:{MANAGEMENT_PORT}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Authorization": "Basic " + b64encode(b"guest:guest").decode(),
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
