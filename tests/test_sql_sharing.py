"""Connections to one database gather what their threads publish; others never do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from kombu import Connection, Queue
from kombu.pools import producers
from kombu.transport.virtual.together import Together
from tests.forks import Child, needs_fork
from tests.places import EVERYWHERE, Place
from tests.processes import engine_of

THREADS = 8


def line(connection: Connection) -> Together:
    return engine_of(connection).publisher._together


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
class TestPlaces:
    def test_threads_with_connections_of_their_own_lose_and_double_nothing(self, place: Place) -> None:
        connection = place.connect()
        queue = Queue("orders")(connection)
        queue.declare()
        pool = producers[connection]

        def publish(thread: int) -> None:
            for number in range(25):
                with pool.acquire(block=True) as producer:
                    producer.publish([thread, number], routing_key="orders")

        with pool, ThreadPoolExecutor(THREADS) as crew:
            for each in [crew.submit(place.in_background, publish, thread) for thread in range(THREADS)]:
                each.result().result()
            pool.connections.force_close_all()
        del producers[connection]
        found = [message.payload for message in iter(lambda: queue.get(no_ack=True), None)]
        assert sorted(found) == [[thread, number] for thread in range(THREADS) for number in range(25)]

    def test_equal_connections_are_in_one_line(self, place: Place) -> None:
        assert line(place.connect()) is line(place.connect())


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
class TestForks:
    pytestmark = needs_fork

    def test_a_child_is_in_no_line_of_its_parents(self, place: Place) -> None:
        parents = line(place.connect())
        with parents._turn:

            def publish() -> None:
                with Connection(place.url) as connection:
                    Queue("orders")(connection).declare()
                    connection.Producer().publish(1, "orders", timeout=5)

            assert Child(publish).lives_to_the_end()


def test_other_tables_are_another_place(sqlite_engine: Engine) -> None:
    url = f"sqla+{sqlite_engine.url.render_as_string(hide_password=False)}"
    with (
        Connection(url) as one,
        Connection(url, transport_options={"table_prefix": "other_", "create_tables": True}) as other,
        Connection(url, transport_options={"engine_options": {"pool_recycle": 60}}) as differently,
    ):
        assert len({id(line(each)) for each in (one, other, differently)}) == 3


def test_a_file_is_another_one_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with Connection("sqla+sqlite:///queues.sqlite3") as one:
        first = line(one)
        monkeypatch.chdir(tmp_path / "other")
        with Connection("sqla+sqlite:///queues.sqlite3") as other:
            assert line(other) is not first
