"""The database server goes away and comes back under threads that share a connection, and under kombu_consume.

What everybody else does then is in :mod:`tests.test_sql_resilience`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
from django.test import override_settings
from sqlalchemy import create_engine

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import PublishUncertain
from kombu.mixins import ConsumerMixin, MakesConsumers
from kombu.transport.base import Channel
from kombu_django import consumer
from kombu_django.conf import get_config
from kombu_django.consuming import Worker
from kombu_django.registry import registry
from kombu_sqlalchemy import metadata
from tests.background import LONG, Errors, eventually, running
from tests.instances import Instance, instance
from tests.places import alias

ORDERS = Queue("orders")
AT_ONCE = {"interval_start": 0.05, "interval_step": 0.05, "interval_max": 0.5}
LEASE = 2.0
"""Seconds until what was claimed by a statement whose answer was lost comes back."""
SOME = 20
"""Messages before and after."""


POSTGRESQL = pytest.mark.server("postgresql")
MARIADB = pytest.mark.server("mariadb", "mysqlclient")
SERVERS = [pytest.param("postgresql", marks=POSTGRESQL), pytest.param("mariadb", marks=MARIADB)]
on_servers = pytest.mark.parametrize("server", SERVERS)
through_both_doors = pytest.mark.parametrize("door", ["sqla", "django"])


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[Instance]:
    with instance("postgresql") as own:
        yield own


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[Instance]:
    with instance("mariadb") as own:
        yield own


@pytest.fixture
def own(request: pytest.FixtureRequest, server: str) -> Iterator[Instance]:
    """Running, with empty tables."""
    own: Instance = request.getfixturevalue(f"own_{server}")
    engine = create_engine(own.url())
    metadata.drop_all(engine)
    metadata.create_all(engine)
    engine.dispose()
    yield own
    if not own.runs:
        own.start()


@pytest.fixture
def url(own: Instance, server: str, door: str) -> Iterator[str]:
    if door == "sqla":
        yield f"sqla+{own.url()}"
        return
    with alias(server, PORT=own.port, NAME="kombu") as url:
        yield url


class Ledger:
    """What publishers and consumers have seen."""

    def __init__(self) -> None:
        self.confirmed: list[int] = []
        self.uncertain: list[int] = []
        self.handled: list[int] = []
        self.first_deliveries: list[int] = []
        self.errors: Errors = []
        self.numbers = count()
        self.stop = threading.Event()

    def handle(self, body: Any, message: Message) -> None:
        self.handled.append(body)
        if message.delivery_info["delivery_count"] == 1:
            self.first_deliveries.append(body)

    def publish(self, connection: Connection) -> None:
        """One message, again and again as far as that is safe."""
        number = next(self.numbers)
        try:
            connection.Producer().publish(number, "orders", retry=True, retry_policy=AT_ONCE, timeout=LONG)
        except PublishUncertain:
            self.uncertain.append(number)
        else:
            self.confirmed.append(number)

    def some_more(self) -> None:
        """Published from now on, and handled."""
        before = next(self.numbers)
        eventually(lambda: sum(number > before for number in self.confirmed) > SOME, self.errors)
        eventually(lambda: any(number > before for number in self.handled), self.errors)

    def check(self) -> None:
        eventually(lambda: set(self.confirmed) <= set(self.handled), self.errors)
        assert self.errors == []
        assert set(self.handled) <= {*self.confirmed, *self.uncertain}
        assert len(self.first_deliveries) == len(set(self.first_deliveries)), "stored twice"


class Going(ConsumerMixin):
    def __init__(self, url: str, ledger: Ledger) -> None:
        self.connection = Connection(url, transport_options={"lease": LEASE})
        self._handle = ledger.handle

    def get_consumers(self, Consumer: MakesConsumers, channel: Channel) -> list[Consumer]:
        return [Consumer([ORDERS], callbacks=[self._handled])]

    def stop(self) -> None:
        self.should_stop = True

    def _handled(self, body: Any, message: Message) -> None:
        self._handle(body, message)
        message.ack()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@on_servers
@through_both_doors
def test_threads_that_share_a_connection_go_on_with_it(
    own: Instance, url: str, ledger: Ledger, stack: ExitStack
) -> None:
    """They publish for each other, in common batches."""
    shared = stack.enter_context(Connection(url, transport_options={"lease": LEASE}))
    ORDERS(shared).declare()
    consumer = Going(url, ledger)
    stack.enter_context(running(consumer.run, consumer.stop, ledger.errors))
    with ExitStack() as publishing:
        for _ in range(6):
            publishing.enter_context(running(lambda: keep_publishing(shared, ledger), ledger.stop.set, ledger.errors))
        ledger.some_more()
        own.end("kill")
        own.start()
        ledger.some_more()
    ledger.check()
    shared.collect()


@on_servers
@pytest.mark.parametrize("door", ["django"])
def test_the_worker_of_kombu_consume_goes_on(
    own: Instance, url: str, ledger: Ledger, stack: ExitStack, registered: None
) -> None:
    name = url.removeprefix("django://")
    stack.enter_context(override_settings(KOMBU={"own": {"URL": url, "DATABASE": name}}))
    consumer(ORDERS, using="own")(ledger.handle)
    worker = Worker(get_config("own"), registry.handlers("own"), tick=0.1, lease=LEASE)
    ready = threading.Event()
    stack.enter_context(running(lambda: worker.run(ready.set), worker.stop, ledger.errors))
    eventually(ready.is_set, ledger.errors)
    with Connection(url) as connection:
        for how in ("kill", "fast"):
            ledger.publish(connection)
            eventually(lambda: set(ledger.confirmed) <= set(ledger.handled), ledger.errors)
            own.end(how)
            own.start()
        ledger.publish(connection)
        ledger.check()


def keep_publishing(connection: Connection, ledger: Ledger) -> None:
    while not ledger.stop.is_set():
        ledger.publish(connection)
