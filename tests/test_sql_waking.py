"""Who waits for messages is told of them where the database can: rarely enough, and never inside a transaction."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Self

import inotify_simple
import psycopg
import pytest
from django.db import connections
from django.db.transaction import atomic
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from kombu import Connection, Queue
from kombu.sql import listening, waiting, watching
from kombu.transport.virtual import drain
from tests import servers
from tests.forks import Child, alone, needs_fork
from tests.memory import PATIENCE
from tests.places import EVERYWHERE, ON_POSTGRESQL, ON_SQLITE, Place, places
from tests.processes import engine_of, wait_until
from tests.proxy import Proxy

ORDERS = Queue("orders")
TO_ORDERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders"}
AN_HOUR = 3600.0
THREADS = 8
EACH = 100


class Publisher:
    """Another process, which publishes when it is told to. Made before anything is connected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ear, self._mouth = os.pipe()
        self._child: Child = alone(self._work)

    def publish(self) -> None:
        os.write(self._mouth, b"!")

    def end(self) -> None:
        os.close(self._mouth)
        os.close(self._ear)
        assert self._child.lives_to_the_end()

    def _work(self) -> None:
        os.close(self._mouth)
        listening.EVERY = 0.0
        with Connection(self._url) as connection:
            while os.read(self._ear, 1):
                connection.Producer().publish("woken", "orders")


@pytest.fixture
def declared(place: Place) -> None:
    with Connection(place.url) as connection:
        ORDERS(connection).declare()
    connections.close_all()


@pytest.fixture
def publisher(place: Place, declared: None) -> Iterator[Publisher]:
    publisher = Publisher(place.url)
    yield publisher
    publisher.end()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nobody looks by himself within an hour; set when a thread begins to wait for being told."""
    begun = threading.Event()
    for module, name in [
        (waiting, "SHORTEST_POLL"),
        (waiting, "POLL"),
        (watching, "SELDOM"),
        (listening, "_IDLE_POLL"),
        (drain, "_MOST_WAIT"),
        (drain, "_KEEP_HOUSE_EVERY"),
    ]:
        monkeypatch.setattr(module, name, AN_HOUR)
    for kind in (listening.Listener, waiting.DataVersion, waiting.Waiter):
        monkeypatch.setattr(kind, "wait", _noting(begun, kind.wait))
    return begun


def _noting(begun: threading.Event, wait: Callable[[Any, float], None]) -> Callable[[Any, float], None]:
    def noted(self: Any, until: float) -> None:
        begun.set()
        wait(self, until)

    return noted


class TestAnIdleConsumer:
    pytestmark = needs_fork

    @pytest.mark.parametrize("place", [*ON_POSTGRESQL, *ON_SQLITE], indirect=True)
    def test_is_woken_by_another_process_that_publishes(
        self, place: Place, publisher: Publisher, waits: threading.Event
    ) -> None:
        consuming = place.in_background(consume, place.url, 3, publisher, waits)
        assert consuming.result(PATIENCE) == ["woken"] * 3

    @pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
    @pytest.mark.parametrize("missing", ["the library", "what the system keeps"])
    def test_is_woken_where_the_system_does_not_tell_of_writes(
        self,
        place: Place,
        publisher: Publisher,
        waits: threading.Event,
        missing: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if missing == "the library":
            monkeypatch.setitem(sys.modules, "inotify_simple", None)
        else:
            monkeypatch.setattr(inotify_simple.INotify, "__init__", _too_many)
        consuming = place.in_background(consume, place.url, 3, publisher, waits)
        assert consuming.result(PATIENCE) == ["woken"] * 3

    @pytest.mark.parametrize("place", places("sqla-mariadb", "django-mariadb"), indirect=True)
    def test_looks_by_itself_where_nobody_tells(self, place: Place, publisher: Publisher) -> None:
        with Connection(place.url) as connection:
            assert not engine_of(connection).store.database.announces  # type: ignore[attr-defined]
        assert consume(place.url, 3, publisher) == ["woken"] * 3


def consume(url: str, count: int, publisher: Publisher, waits: threading.Event | None = None) -> list[Any]:
    """Each message is published once the consumer waits."""
    seen: list[Any] = []

    def publish() -> None:
        for _ in range(count):
            if waits is not None:
                assert waits.wait(PATIENCE)
                waits.clear()
            publisher.publish()
            one.acquire(timeout=PATIENCE)

    def handle(message: Any) -> None:
        seen.append(message.payload)
        message.ack()
        one.release()

    one = threading.Semaphore(0)
    publishing = threading.Thread(target=publish)
    with Connection(url, transport_options={"settle_delay": 0}) as connection:
        with connection.Consumer(ORDERS, on_message=handle):
            publishing.start()
            while len(seen) < count:
                connection.drain_events(timeout=AN_HOUR)
        publishing.join(PATIENCE)
    return seen


def _too_many(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
def test_who_waits_is_woken_by_another_thread(place: Place, declared: None, waits: threading.Event) -> None:
    store: Any = engine_of(place.connect()).store
    store._waiter.poll = AN_HOUR
    waiting_for_it = place.in_background(store.wait, ["orders"], AN_HOUR)
    assert waits.wait(PATIENCE)
    store.wake()
    waiting_for_it.result(PATIENCE)


@pytest.mark.parametrize("place", ON_SQLITE, indirect=True)
def test_a_watched_file_leaves_no_descriptor_behind(place: Place, declared: None) -> None:
    place.connect().close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        connection = place.connect()
        with connection.Consumer(ORDERS, on_message=print):
            wait_until(partial(is_watched, connection), draining=connection)
        connection.close()
    assert len(os.listdir("/proc/self/fd")) == before


def is_watched(connection: Connection) -> bool:
    """Whether it has begun to watch the database's file."""
    return engine_of(connection).store._waiter._file is not None  # type: ignore[attr-defined]


@pytest.mark.server("pgbouncer")
@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_behind_a_pooler_that_lends_its_connections_it_says_once_that_it_polls(
    place: Place, declared: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Proxy(servers.PGBOUNCER_PORT) as proxy:
        connection, other = place.connect(place.through(proxy)), place.connect()
        seen: list[Any] = []
        with connection.Consumer(ORDERS, on_message=lambda message: (seen.append(message.payload), message.ack())):
            for number in range(3):
                with pytest.raises(TimeoutError):
                    connection.drain_events(timeout=0.05)
                place.in_background(other.Producer().publish, number, "orders").result(PATIENCE)
                connection.drain_events(timeout=PATIENCE)
                proxy.cut()
        assert seen == [0, 1, 2]
        told = [text for text in caplog.messages if "behind a connection pooler" in text]
        assert len(told) == 1


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
class TestAnnouncements:
    @pytest.fixture
    def ear(self, place: Place, declared: None) -> Iterator[Ear]:
        with Ear(place) as ear:
            yield ear

    def test_a_storm_of_publishes_sends_few(self, place: Place, ear: Ear) -> None:
        shared = place.connect()
        began = time.monotonic()
        publishing = [place.in_background(storm, shared) for _ in range(THREADS)]
        for each in publishing:
            each.result(3 * PATIENCE)
        lasted = time.monotonic() - began
        assert len(place.bodies()) == THREADS * EACH
        heard = ear.heard()
        assert 1 <= len(heard) <= lasted / listening.EVERY + 1
        assert set(heard) == {"orders"}

    def test_none_is_sent_inside_the_transaction_that_stores(
        self, place: Place, ear: Ear, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listening, "EVERY", 0.0)
        connection = place.connect(settle_delay=0)
        Queue("strict", queue_arguments={"x-max-length": 9, "x-overflow": "reject-publish", **TO_ORDERS})(
            connection
        ).declare()
        producer = connection.Producer()
        with statements(place) as said:
            producer.publish("alone", "orders")
            producer.publish_many(range(250), routing_key="orders")
            producer.publish("where there has to be room", "strict")
            message = Queue("strict")(connection).get()
            assert message is not None
            message.reject()
        assert "store inside" in said
        assert "tell inside" not in said
        assert ear.heard() == ["orders", "orders", "strict", "orders"]

    def test_one_of_the_callers_transaction_is_sent_when_that_has_committed(self, place: Place, ear: Ear) -> None:
        connection = place.connect()
        with callers(place) as within:
            connection.Producer().publish("one", "orders", within=within)
            assert ear.heard() == []
        assert ear.heard() == ["orders"]

    def test_none_is_sent_at_the_end_of_a_savepoint(self, place: Place, ear: Ear) -> None:
        connection = place.connect()
        with callers(place) as within:
            with savepoint(within):
                connection.Producer().publish("one", "orders", within=within)
            assert ear.heard() == []
        assert ear.heard() == ["orders"]

    def test_none_is_sent_for_a_transaction_that_is_rolled_back(self, place: Place, ear: Ear) -> None:
        connection = place.connect()
        with pytest.raises(ZeroDivisionError), callers(place) as within:
            connection.Producer().publish("one", "orders", within=within)
            raise ZeroDivisionError
        assert (ear.heard(), place.bodies()) == ([], [])


@pytest.mark.parametrize("place", ON_POSTGRESQL, indirect=True)
def test_who_was_told_of_what_another_took_looks_again_soon(
    place: Place, declared: None, waits: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what comes in the moments after an announcement is not announced again."""
    store: Any = engine_of(place.connect()).store
    store._waiter.poll = AN_HOUR
    monkeypatch.setattr(waiting, "SHORTEST_POLL", 0.01)
    monkeypatch.setattr(listening.Announcer, "wanted", lambda *_: [])
    told = place.in_background(store.wait, ["orders"], AN_HOUR)
    try:
        assert waits.wait(PATIENCE)
        waits.clear()
        with psycopg.connect(servers.postgresql_url(str(place.engine.url.database)), autocommit=True) as outside:
            outside.execute("NOTIFY kombu, 'orders'")
        assert waits.wait(PATIENCE), "it looks, and waits again"
        place.connect().Producer().publish("just after it", "orders")
        told.result(PATIENCE)
    finally:
        store.wake()


@pytest.mark.parametrize("place", places("sqla-postgresql"), indirect=True)
def test_a_session_hears_of_its_end_once_however_often_it_publishes(place: Place, declared: None) -> None:
    producer = place.connect().Producer(routing_key="orders")
    with Session(place.engine) as session:
        for number in range(20):
            producer.publish(number, within=session)
            if number % 3:
                session.rollback()
            else:
                session.commit()
        assert len(list(session.dispatch.after_commit)) == 1
    assert len(place.bodies()) == 7


class Ear:
    """Hears every announcement, past the library."""

    def __init__(self, place: Place) -> None:
        self._url = servers.postgresql_url(str(place.engine.url.database))

    def __enter__(self) -> Self:
        self._connection = psycopg.connect(self._url, autocommit=True)
        self._connection.execute("LISTEN kombu")
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def heard(self) -> list[str]:
        """Since it was asked before: all that came earlier than one's own."""
        self._connection.execute("NOTIFY kombu, 'enough'")
        heard: list[str] = []
        for notice in self._connection.notifies(timeout=PATIENCE):
            if notice.payload == "enough":
                return heard
            heard.append(notice.payload)
        raise AssertionError("it hears not even itself")


@contextmanager
def callers(place: Place) -> Iterator[Any]:
    """A transaction of the caller's, who is told when it has committed: ``atomic``, or a session."""
    if place.door == "django":
        with place.transaction() as within:
            yield within
        return
    with Session(place.engine) as session, session.begin():
        yield session


def savepoint(within: Any) -> AbstractContextManager[object]:
    return within.begin_nested() if isinstance(within, Session) else atomic(using=within)


@contextmanager
def statements(place: Place) -> Iterator[list[str]]:
    """What this thread's connection says: ``store`` and ``tell``, ``inside`` a transaction or not."""
    said: list[str] = []
    inside = False

    def note(sql: str) -> None:
        nonlocal inside
        if sql in ("BEGIN", "COMMIT"):
            inside = sql == "BEGIN"
        elif "INSERT INTO kombu_message" in sql or "pg_notify" in sql:
            said.append(("tell" if "pg_notify" in sql else "store") + " inside" * inside)

    def of_sqlalchemy(_: object, __: object, sql: str, *___: object) -> None:
        note(sql)

    def of_django(execute: Callable[..., object], sql: str, *rest: Any) -> object:
        nonlocal inside
        inside = connections[alias].in_atomic_block
        note(sql)
        return execute(sql, *rest)

    if place.door == "django":
        alias = place.url.removeprefix("django://")
        with connections[alias].execute_wrapper(of_django):
            yield said
        return
    event.listen(Engine, "before_cursor_execute", of_sqlalchemy)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", of_sqlalchemy)


def storm(connection: Connection) -> None:
    producer = connection.Producer(routing_key="orders")
    for number in range(EACH):
        producer.publish(number)
