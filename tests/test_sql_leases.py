"""No two hold the same message with a live lease, whoever races with whom, and whatever time a client thinks it is."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kombu import Connection, Queue
from kombu.transport.virtual.store import Delivery, Done, Lease, Release
from tests.forks import alone, needs_fork
from tests.places import EVERYWHERE, ON_SERVERS, Place, places
from tests.processes import engine_of, wait_until

ORDERS = Queue("orders")
RACERS = 4
MESSAGES = 6
TURNS = 40
"""How often each of them holds a message, however long that takes."""
BRIEF = 0.06
"""Seconds of a lease: short enough to run out in the hands of who has it."""
TICK = 0.002
"""SQLite's clock has milliseconds, as numbers that are not exact: a lease may begin as much early, and end."""


class Racer:
    """Claims, keeps, extends, gives back and forgets, and notes for which times the lease was alive for certain."""

    def __init__(self, url: str, path: Path) -> None:
        self._url = url
        self._notes = path.open("w")
        self._seed = os.getpid()

    def race(self) -> None:
        lots = random.Random(self._seed)
        held = 0
        with Connection(self._url) as connection:
            store = engine_of(connection).store
            while held < TURNS:
                asked = time.monotonic()
                deliveries = store.claim({"orders": lots.randint(1, 3)}, BRIEF)
                held += len(deliveries)
                for delivery in deliveries:
                    self._have(store, delivery, asked, lots)
        self._notes.close()

    def _have(self, store: Any, delivery: Delivery, asked: float, lots: random.Random) -> None:
        """The server's lease began after ``asked``: until ``asked + BRIEF``, less a tick, it is this one's."""
        held: Lease | None = delivery.lease
        begin, end = time.monotonic(), asked + BRIEF - TICK
        while held is not None and lots.random() < 0.5:
            time.sleep(lots.uniform(0, 2 * BRIEF))
            asked = time.monotonic()
            [held] = store.extend([held], BRIEF)
            if held is not None:
                end = asked + BRIEF - TICK
        if held is not None and lots.random() < 0.7:
            end = min(end, time.monotonic())
            store.settle([Release(held)])
        self._notes.write(f"{delivery.lease.id} {begin} {end}\n")


@pytest.mark.parametrize("place", places("django-sqlite", "django-postgresql", "django-mariadb"), indirect=True)
class TestProcesses:
    pytestmark = needs_fork

    def test_two_processes_never_hold_a_message_at_the_same_time(self, place: Place, tmp_path: Path) -> None:
        """Half of them come through either door."""
        with Connection(place.url) as connection:
            ORDERS(connection).declare()
            connection.Producer().publish_many(range(MESSAGES), routing_key="orders")
        urls = [place.url, place.sqla_url] * (RACERS // 2)
        children = [
            alone(lambda url=url, number=number: Racer(url, tmp_path / f"{number}").race())  # type: ignore[misc]
            for number, url in enumerate(urls)
        ]
        for child in children:
            assert child.lives_to_the_end()
        held = notes(tmp_path)
        assert len(held) == MESSAGES
        for id, times in held.items():
            for (_, end), (begin, _) in pairwise(sorted(times)):
                assert end <= begin, f"message {id} was held by two for {end - begin} s"


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
def test_a_client_whose_clock_is_wrong_takes_nothing_before_its_time(
    place: Place, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = place.connect(), place.connect()
    ORDERS(right).declare()
    right.Producer().publish("held", "orders")
    right.Producer().publish("later", "orders", delay=60)
    held = engine_of(right).store.claim({"orders": 1}, 60.0)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * hours)
    store = engine_of(wrong).store
    assert store.claim({"orders": 10}, 60.0) == []
    wrong.Producer().publish("his own", "orders")
    wrong.Producer().publish("his own later", "orders", delay=60)
    [(his, *_)] = store.claim({"orders": 10}, BRIEF)
    assert store.extend([his], BRIEF) == [his]
    monkeypatch.undo()
    counts = right.channel().connection.store.counts(["orders"])["orders"]  # type: ignore[attr-defined]
    assert (counts.delayed, counts.ready + counts.leased) == (2, 2)
    back: list[Delivery] = []
    wait_until(lambda: back.extend(engine_of(right).store.claim({"orders": 10}, 60.0)) or back)
    assert [delivery.body for delivery in back] == [b"his own"]
    assert engine_of(right).store.settle([Done(held[0].lease)]) == [True]


@pytest.mark.parametrize("place", ON_SERVERS, indirect=True)
def test_a_lease_that_ran_out_is_not_extended_while_another_takes_its_message(place: Place) -> None:
    connection = place.connect()
    ORDERS(connection).declare()
    connection.Producer().publish("one", "orders")
    store = engine_of(connection).store
    [over] = store.claim({"orders": 1}, 0.0)
    with place.engine.begin() as another:
        another.exec_driver_sql("UPDATE kombu_message SET lease_token = 1, available_at = available_at + 60000000")
        assert store.extend([over.lease], 60.0) == [None]


def notes(folder: Path) -> dict[str, list[tuple[float, float]]]:
    held: dict[str, list[tuple[float, float]]] = {}
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            id, begin, end = line.split()
            if float(end) > float(begin):
                held.setdefault(id, []).append((float(begin), float(end)))
    return held
