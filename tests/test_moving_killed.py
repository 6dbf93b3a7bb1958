"""Whoever moves messages is killed again and again: nothing is lost, and at most a batch a kill is there twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kombu import Connection, Queue
from tests.background import LONG
from tests.moving_along import BATCH

COUNT = 600
KILLS = 4


def test_from_sqlite_into_a_spool(sqlite_engine: Engine, tmp_path: Path) -> None:
    check(url_of(sqlite_engine), f"filesystem:///{tmp_path}/spool")


def test_from_a_spool_into_sqlite(sqlite_engine: Engine, tmp_path: Path) -> None:
    check(f"filesystem:///{tmp_path}/spool", url_of(sqlite_engine))


@pytest.mark.server("postgresql")
def test_from_sqlite_into_postgresql(sqlite_engine: Engine, postgresql_engine: Engine) -> None:
    check(url_of(sqlite_engine), url_of(postgresql_engine))


def url_of(engine: Engine) -> str:
    return f"sqla+{engine.url.render_as_string(hide_password=False)}"


def check(source: str, target: str) -> None:
    with Connection(source) as here, Connection(target) as there:
        for connection in (here, there):
            Queue("orders")(connection).declare()
        published = [f"message {number}" for number in range(COUNT)]
        here.Producer(routing_key="orders").publish_many(published)
        kills = move_and_kill(here, source, target)
        found = Counter(received(there))
    assert found.keys() == set(published)
    assert sum(found.values()) - COUNT <= kills * BATCH


def move_and_kill(here: Connection, source: str, target: str) -> int:
    """Until all is moved; answers how many were killed on the way."""
    kills, deadline = 0, time.monotonic() + LONG
    while not is_empty(here):
        assert time.monotonic() < deadline
        command = [sys.executable, "-m", "tests.moving_along", source, target]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            if kills < KILLS and process.stdout.readline():
                time.sleep(random.uniform(0, 0.03))
                process.kill()
                kills += 1
            else:
                process.communicate()
                assert process.returncode == 0
    return kills


def is_empty(connection: Connection) -> bool:
    """A killed one may still hold some."""
    told = connection.statistics(["orders"])["orders"]
    return not told.ready and not told.leased


def received(connection: Connection) -> list[str]:
    channel = connection.channel()
    orders, found = Queue("orders")(channel), []
    while (message := orders.get()) is not None:
        found.append(message.payload)
    return found
