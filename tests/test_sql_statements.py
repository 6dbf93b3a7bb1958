"""A process that dies before any one of its statements loses nothing, doubles nothing, and leaves nothing half done.

What only reads changes nothing for those who come after: the statements are those that write, and commits.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from sqlalchemy import Engine, event

from kombu import Connection, Exchange, Message, Queue
from kombu.transport.virtual.store import Done
from kombu_sqlalchemy import metadata
from tests.forks import alone, needs_fork
from tests.places import EVERYWHERE, Place
from tests.processes import engine_of, wait_until

pytestmark = needs_fork

SHOP = Exchange("shop", "topic")
DEAD = Queue("dead")
ORDERS = Queue(
    "orders",
    SHOP,
    "order.*",
    queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-max-length": 1000},
)
REFUSING = Queue("refusing", SHOP, "order.*", queue_arguments={"x-max-length": 1000, "x-overflow": "reject-publish"})
PASSING = Queue("passing", SHOP, "passing")
BATCH = [f"batch {number}" for number in range(101)]
"""One more than go into one statement."""
PAIR = ["pair 1", "pair 2"]
"""For two queues, of which one has to have room."""


class Diary:
    """What the dying process was about to do and had done, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def do(self, verb: str, call: Callable[[], object], *ids: str) -> None:
        self._write("about", verb, ids)
        call()
        self._write("done", verb, ids)

    def read(self, when: str, verb: str) -> set[str]:
        lines = [line.split("\t") for line in self.path.read_text().splitlines()]
        return {id for at, did, *ids in lines if (at, did) == (when, verb) for id in ids}

    def _write(self, when: str, verb: str, ids: tuple[str, ...]) -> None:
        os.write(self._file, ("\t".join([when, verb, *ids]) + "\n").encode())


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
def test_a_process_may_die_before_any_of_its_statements(place: Place, tmp_path: Path) -> None:
    for number in count():
        diary = Diary(tmp_path / "diary")
        begin_anew(place)
        lived = alone(partial(live, place, diary, die_before=number)).lives_to_the_end()
        found = take_all(place)
        published, consumed = diary.read("done", "publish"), diary.read("about", "ack")
        where = f"dead before statement {number}"
        assert len(found) == len(set(found)), f"doubled, {where}"
        assert published - consumed <= set(found), f"lost, {where}"
        assert set(found) <= diary.read("about", "publish") - diary.read("done", "ack"), where
        for batch in (BATCH, PAIR):
            assert len(set(found) & set(batch)) in (0, len(batch)), f"torn, {where}"
        if lived:
            break
    assert number > 40, "it has more statements than that"


def live(place: Place, diary: Diary, die_before: int) -> None:
    """Everything that takes more than one statement, and some that does not."""
    left = iter(range(die_before))

    def statement() -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    with Connection(place.url, transport_options={"lease": 0.1, "settle_delay": 0}) as connection:
        watch(place, connection, statement)
        for queue in (DEAD, ORDERS, REFUSING):
            queue(connection).declare()
        publish(connection, diary, "acknowledged", "rejected", "requeued", "held")
        producer = connection.Producer()
        diary.do("publish", partial(producer.publish_many, BATCH, routing_key="orders"), *BATCH)
        diary.do("publish", partial(producer.publish_many, PAIR, exchange=SHOP, routing_key="order.x"), *PAIR)
        orders = ORDERS(connection)
        acknowledged, rejected, requeued, _ = (take(orders) for _ in range(4))
        diary.do("ack", acknowledged.ack, acknowledged.payload)
        rejected.reject()
        requeued.requeue()
        PASSING(connection).declare()
        connection.Producer().publish("gone", "passing")
        PASSING(connection).delete()
        connection.collect()


def take(queue: Queue) -> Message:
    message = queue.get()
    assert message is not None
    return message


def publish(connection: Connection, diary: Diary, *ids: str) -> None:
    for id in ids:
        diary.do("publish", partial(connection.Producer().publish, id, "orders"), id)


def watch(place: Place, connection: Connection, statement: Callable[[], None]) -> None:
    """Call ``statement`` before each, and before each commit."""
    connection.connect()
    if place.door == "sqla":
        event.listen(Engine, "before_cursor_execute", lambda *rest: reads(rest[2]) or statement())
        return
    django = connections[place.url.removeprefix("django://")]
    commit = django._commit

    def execute(execute: Callable[..., object], sql: str, *rest: Any) -> object:
        if not reads(sql):
            statement()
        return execute(sql, *rest)

    def committing() -> None:
        statement()
        commit()

    django.execute_wrappers.append(execute)
    django._commit = committing


def reads(statement: str) -> bool:
    return statement.startswith(("SELECT", "PRAGMA"))


def begin_anew(place: Place) -> None:
    """Nothing is declared, and nothing stored."""
    with place.engine.begin() as outside:
        for table in reversed(metadata.sorted_tables):
            outside.execute(table.delete())


def take_all(place: Place) -> list[str]:
    """What is left of it, once its leases are over. What two queues want counts as one."""
    found: dict[str, list[str]] = {"orders": [], "dead": [], "refusing": []}
    with Connection(place.url) as connection:
        for queue in (DEAD, ORDERS, REFUSING):
            queue(connection).declare()
        store = engine_of(connection).store

        def look() -> bool:
            deliveries = store.claim(dict.fromkeys(found, 500), 60.0)
            store.settle([Done(delivery.lease) for delivery in deliveries])
            for delivery in deliveries:
                found[delivery.lease.queue].append(delivery.body.decode())
            return set(place.bodies()) <= {"gone"}

        wait_until(look)
    connections.close_all()
    assert set(found["refusing"]) == set(found["orders"]) & set(PAIR), "the copies for two queues are stored together"
    return found["orders"] + found["dead"]
