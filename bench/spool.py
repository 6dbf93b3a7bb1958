"""``filesystem``: a spool with a thousand messages waiting and with a hundred thousand, written through or not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median

from kombu.transport.filesystem import FileStore
from kombu.transport.virtual.store import Done, Envelope, QueueSpec

QUEUE = "orders"
DEPTHS = (1_000, 100_000)
MESSAGE = Envelope('{"exchange":"","routing_key":"orders","properties":{}}', b"x" * 256)
HOUR = 3600.0
SECONDS = 1.0
ROUNDS = 3


def rates() -> None:
    columns = [f"{depth:,}{' on disk' if sync else ''}" for sync, depth in product((False, True), DEPTHS)]
    found: dict[str, list[float]] = {}
    for sync, depth in product((False, True), DEPTHS):
        with spool(depth) as store:
            store.sync = sync
            for name, step in steps(store).items():
                found.setdefault(name, []).append(median(rate(step) for _ in range(ROUNDS)))
    print(f"\n{'spool, messages waiting':24} " + " ".join(f"{column:>15}" for column in columns) + "   messages/s")
    for name, values in found.items():
        print(f"{name:24} " + " ".join(f"{value:15,.0f}" for value in values), flush=True)


@contextmanager
def spool(waiting: int) -> Iterator[FileStore]:
    with tempfile.TemporaryDirectory(prefix="kombu-bench-") as folder:
        store = FileStore(str(Path(folder) / "spool"), sync=False)
        store.open()
        store.declare(QueueSpec(name=QUEUE))
        fill(store, waiting)
        yield store


def fill(store: FileStore, count: int) -> None:
    for start in range(0, count, 500):
        store.put([(QUEUE, MESSAGE)] * min(500, count - start))


def steps(store: FileStore) -> dict[str, Callable[[], int]]:
    """What is measured; each answers how many messages that were."""
    return {
        "put one by one": lambda: put(store, 1),
        "put 100 at a time": lambda: put(store, 100),
        "claim, settle one by one": lambda: drain(store, 1),
        "claim, settle 64": lambda: drain(store, 64),
    }


def put(store: FileStore, count: int) -> int:
    store.put([(QUEUE, MESSAGE)] * count)
    return count


def drain(store: FileStore, count: int) -> int:
    taken = store.claim({QUEUE: count}, HOUR)
    store.settle([Done(each.lease) for each in taken])
    return len(taken)


def rate(step: Callable[[], int]) -> float:
    begun, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < SECONDS:
        done += step()
    return done / passed
