"""A program that publishes and consumes with many processes and kills them at random; each keeps a ledger.

``python -m tests.killing SECONDS FOLDER DJANGO_URL SQLA_URL``: publishers and consumers, through either door, use the
queues ``orders`` and ``dead``, which are there. Every 50 to 300 ms one gets a SIGKILL, wherever it is, and another
begins. When the time is over the publishers end, the program says ``published``, and the consumers go on until its
standard input is closed. What it leaves in FOLDER is read by :mod:`tests.ledgers`.

The processes are forks of one that has imported everything and opened nothing.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import django
from django.db import connections, transaction
from sqlalchemy import Engine

from kombu import Connection, Message, Queue
from kombu.exceptions import LeaseLost
from kombu.sql import Conflict
from kombu_sqlalchemy.engines import make_engine

PUBLISHERS = 3
CONSUMERS = 3
THREADS = 3
LEASE = 3.0
"""Seconds, of which a process that lives would have to sleep all before another is given its messages."""
OPTIONS = {"lease": LEASE, "prefetch": 10}
EFFECT = "INSERT INTO kombu_test_effect (id) VALUES ('%s')"

_Work = Callable[[str, "Pen"], None]
_stop = threading.Event()


class Pen:
    """Writes a process's ledger: a line is there once :meth:`write` has returned, whatever happens to the process."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / f"{os.getpid()}.ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, what: str, *ids: str) -> None:
        os.write(self._file, f"{what} {os.getpid()} {time.monotonic()} {' '.join(ids)}\n".encode())


def publish(url: str, pen: Pen) -> None:
    """Every third process with several threads, which publish for each other."""
    numbers = count()
    with Connection(url, transport_options=OPTIONS) as connection:
        threads = THREADS if random.randrange(3) == 0 else 1
        work = [threading.Thread(target=_publish, args=(connection, pen, numbers)) for _ in range(threads)]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()


def _publish(connection: Connection, pen: Pen, numbers: Iterator[int]) -> None:
    producer = connection.Producer(routing_key="orders")
    try:
        while not _stop.is_set():
            ids = [f"{os.getpid()}.{time.monotonic_ns()}.{next(numbers)}" for _ in range(_batch())]
            pen.write("about", *ids)
            producer.publish_many(ids, retry=True, timeout=60)
            pen.write("done", *ids)
            _stop.wait(random.uniform(0, 0.05))
    except BaseException as exc:  # noqa: BLE001 - looked at by the test
        pen.write("error", repr(exc))
    finally:
        connections.close_all()


def _batch() -> int:
    """Mostly one; now and then more than go into one statement."""
    return random.choices([1, 5, 120], [90, 9, 1])[0]


def consume(url: str, pen: Pen) -> None:
    with Connection(url, transport_options=OPTIONS) as connection:
        handler = Handler(url, pen)
        queues = [Queue("orders"), Queue("dead")]
        with connection.Consumer(queues, on_message=handler.handle, auto_declare=False):
            drain_until_stopped(connection)


def drain_until_stopped(connection: Connection) -> None:
    while not _stop.is_set():
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            continue


class Handler:
    """Some messages are acknowledged, some with an effect in the same transaction, some go back or are rejected."""

    def __init__(self, url: str, pen: Pen) -> None:
        self._pen = pen
        self._url = url

    def handle(self, message: Message) -> None:
        id, queue = str(message.payload), message.delivery_info["queue"]
        first = queue == "orders" and message.delivery_info["delivery_count"] == 1
        self._pen.write("begin" if first else "again", id)
        time.sleep(random.expovariate(1 / 0.001))
        lot = hash_of(id) % 10
        if has_effect(id):
            self._with_effect(id, message)
            return
        self._pen.write("end", id)
        if lot == 1 and first:
            message.requeue()
        elif lot == 2 and queue == "orders":
            message.reject()
        else:
            message.ack()

    @cached_property
    def _transaction(self) -> _Transaction:
        return _djangos(self._url) if self._url.startswith("django") else _sqlalchemys(self._url)

    def _with_effect(self, id: str, message: Message) -> None:
        try:
            with self._transaction() as (run, within):
                run(EFFECT % id)
                message.ack(within=within)
        except Conflict:
            message.requeue()
        except LeaseLost:
            self._pen.write("lost", id)
        else:
            self._pen.write("end", id)
            message.ack()


def has_effect(id: str) -> bool:
    return hash_of(id) % 10 in (3, 4, 5)


def hash_of(id: str) -> int:
    """The same in every process."""
    return sum(map(ord, id))


_Transaction = Callable[[], Any]
"""Made anew, it gives a function that runs a statement, and what ``ack(within=…)`` is given."""


def _djangos(url: str) -> _Transaction:
    alias = url.removeprefix("django://")

    @contextmanager
    def begun() -> Iterator[tuple[Callable[[str], object], object]]:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            yield cursor.execute, alias

    return begun


def _sqlalchemys(url: str) -> _Transaction:
    engine: Engine = make_engine(url.removeprefix("sqla+"), 5.0, {})

    @contextmanager
    def begun() -> Iterator[tuple[Callable[[str], object], object]]:
        with engine.begin() as connection:
            yield connection.exec_driver_sql, connection

    return begun


class Nursery:
    """Starts processes that publish and consume, and kills them."""

    def __init__(self, folder: Path, urls: list[str], publish: _Work = publish, consume: _Work = consume) -> None:
        self._publish, self._consume = publish, consume
        self._folder = folder
        self._urls = urls
        self._pen = Pen(folder)
        self._children: dict[int, _Work] = {}

    def run(self, seconds: float) -> None:
        for work in [self._publish] * PUBLISHERS + [self._consume] * CONSUMERS:
            self._start(work)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(random.uniform(0.05, 0.3))
            self._start(self._kill(random.choice(list(self._children))))
        self._end(self._publish)
        sys.stdout.write("published\n")
        sys.stdout.flush()
        sys.stdin.read()
        self._end(self._consume)

    def _start(self, work: _Work) -> None:
        url = random.choice(self._urls)
        child = os.fork()
        if child == 0:
            _be(work, url, self._folder)
        self._children[child] = work

    def _kill(self, child: int) -> _Work:
        self._pen.write("kill", str(child))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return self._children.pop(child)

    def _end(self, work: _Work) -> None:
        ending = [child for child, its in self._children.items() if its is work]
        for child in ending:
            os.kill(child, signal.SIGTERM)
        for child in ending:
            os.waitpid(child, 0)
            del self._children[child]


def _be(work: _Work, url: str, folder: Path) -> None:
    """A child, to its end."""
    signal.signal(signal.SIGTERM, lambda *_: _stop.set())
    pen = Pen(folder)
    try:
        work(url, pen)
    except BaseException as exc:  # noqa: BLE001 - looked at by the test
        pen.write("error", repr(exc))
    finally:
        os._exit(0)


if __name__ == "__main__":
    django.setup()
    Nursery(Path(sys.argv[2]), sys.argv[3:]).run(float(sys.argv[1]))
