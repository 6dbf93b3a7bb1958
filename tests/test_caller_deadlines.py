"""Who gives a limit is answered within it, or told, when a server falls silent: however long its driver would wait.

Here the drivers wait for ten minutes, and nobody waits for a fifth of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Queue
from kombu.exceptions import KombuError, OperationalError, PublishUncertain
from kombu.transport.virtual import drain
from tests import beanstalk, couchdb, mongodb, redises, servers
from tests.aws import Region
from tests.background import Errors, running
from tests.proxy import Proxy

STATIC = 600.0
"""Seconds that the driver waits for an answer."""
SOON = STATIC / 5
LIMIT = 0.5
"""Seconds that callers give."""


@dataclass(frozen=True, slots=True)
class Place:
    """``url`` leads through a proxy to what is ``name``'s alone, and ``clean_up`` leaves nothing of it."""

    server: str
    port: int
    url: Callable[[str, int], str]
    clean_up: Callable[[str], object]
    option: str


PLACES = [
    Place(
        "redis",
        servers.REDIS_PORT,
        lambda name, port: f"redis://{servers.HOST}:{port}/0?global_keyprefix={name}",
        redises.remove,
        "socket_timeout",
    ),
    Place(
        "sqs",
        servers.SQS_PORT,
        lambda name, port: Region(port, name).url(),
        lambda name: Region(prefix=name).clean_up(),
        "read_timeout",
    ),
    Place("mongodb", servers.MONGODB_PORT, mongodb.url, mongodb.drop, "timeout"),
    Place(
        "couchdb",
        servers.COUCHDB_PORT,
        lambda name, port: f"couchdb://{servers.HOST}:{port}/{name}",
        couchdb.drop,
        "timeout",
    ),
    Place(
        "beanstalkd",
        servers.BEANSTALKD_PORT,
        lambda name, port: f"beanstalk://{servers.HOST}:{port}/{name}",
        beanstalk.clear,
        "timeout",
    ),
]


class Client:
    """One that has a queue ``orders``, and a way to it that can fall silent."""

    def __init__(self, place: Place, name: str, proxy: Proxy) -> None:
        self.proxy = proxy
        self._url = place.url(name, proxy.port)
        self._options: dict[str, Any] = {place.option: STATIC}

    def connect(self, connect_timeout: float = STATIC) -> Connection:
        """Not open yet."""
        return Connection(self._url, transport_options=self._options, connect_timeout=connect_timeout)

    def error_of(self, call: Callable[[], object]) -> Exception | None:
        """What it ends with, which is soon; the way is good again afterwards."""
        ended, found = Event(), list[Exception]()
        errors: Errors = []

        def run() -> None:
            try:
                call()
            except (KombuError, TimeoutError) as exc:
                found.append(exc)
            finally:
                ended.set()

        with running(run, partial(self.proxy.fall_silent, False), errors):
            in_time = ended.wait(SOON)
        assert errors == []
        assert in_time, f"{SOON} seconds were not enough"
        return found[0] if found else None


@pytest.fixture(
    params=[pytest.param(place, id=place.server, marks=pytest.mark.server(place.server)) for place in PLACES]
)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    place: Place = request.param
    name = f"kombu-{uuid4().hex[:16]}-"
    with Proxy(place.port) as proxy:
        made = Client(place, name, proxy)
        with made.connect() as connection:
            Queue("orders")(connection).declare()
        try:
            yield made
        finally:
            place.clean_up(name)


def test_a_publish_ends_in_time_when_the_server_says_nothing_any_more(client: Client) -> None:
    with client.connect() as connection:
        producer = connection.Producer(routing_key="orders")
        producer.publish("first")
        client.proxy.fall_silent()
        error = client.error_of(lambda: producer.publish("second", timeout=LIMIT))
    assert isinstance(error, OperationalError | PublishUncertain)


def test_a_publish_that_was_on_its_way_is_uncertain_in_time(client: Client) -> None:
    mark = uuid4().hex
    with client.connect() as connection:
        producer = connection.Producer(routing_key="orders")
        producer.publish("first")
        client.proxy.cut_at(mark.encode(), "never")
        error = client.error_of(lambda: producer.publish("second", headers={"mark": mark}, timeout=LIMIT))
    assert isinstance(error, PublishUncertain)


def test_a_drain_ends_in_time_when_the_server_says_nothing_any_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "_PATIENCE", 0.0)  # what a store gets beyond that
    with client.connect() as connection:
        connection.Consumer(Queue("orders"), on_message=print).consume()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        client.proxy.fall_silent()
        error = client.error_of(lambda: connection.drain_events(timeout=LIMIT))
        connection.collect()
    assert isinstance(error, OperationalError | TimeoutError)


def test_connecting_ends_in_time_when_the_server_says_nothing(client: Client) -> None:
    client.proxy.fall_silent()
    error = client.error_of(lambda: client.connect(connect_timeout=LIMIT).connect())
    assert isinstance(error, OperationalError)


def test_connecting_again_and_again_ends_in_time_when_the_server_says_nothing(client: Client) -> None:
    client.proxy.fall_silent()
    error = client.error_of(lambda: client.connect().ensure_connection(timeout=LIMIT))
    assert isinstance(error, OperationalError)


@pytest.mark.parametrize("retry", [False, True], ids=["once", "again-and-again"])
def test_a_publish_that_has_to_connect_ends_in_time_when_the_server_says_nothing(client: Client, retry: bool) -> None:
    client.proxy.fall_silent()
    producer = client.connect().Producer(routing_key="orders")
    error = client.error_of(lambda: producer.publish("first", retry=retry, declare=[Queue("orders")], timeout=LIMIT))
    assert isinstance(error, OperationalError)


def test_a_publish_ends_in_time_while_another_thread_waits_for_as_long_as_it_takes(client: Client) -> None:
    errors: Errors = []
    asking = Event()
    with client.connect() as connection:
        producer = connection.Producer(routing_key="orders")
        producer.publish("first")
        store = connection.connection.store

        def ask() -> None:
            asking.set()
            with suppress(OperationalError):
                store.counts(["orders"])

        client.proxy.cut_at(b"", "never")
        with running(ask, partial(client.proxy.fall_silent, False), errors):
            assert asking.wait(SOON)
            assert client.proxy.struck.wait(SOON)
            error = client.error_of(lambda: producer.publish("second", timeout=LIMIT))
    assert errors == []
    assert isinstance(error, OperationalError | PublishUncertain)
