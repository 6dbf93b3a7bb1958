"""Django as people run it: requests in transactions, connections that come and go, a pool of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import close_old_connections, connections, transaction
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import path

from kombu import Connection, Message, Queue
from kombu.retry import RetryPolicy
from kombu_django import consumer, publish
from kombu_django.connections import link
from tests import servers
from tests.flows import consume
from tests.memory import PATIENCE
from tests.memory import publish as put
from tests.places import alias

pytestmark = pytest.mark.usefixtures("registered")

ORDERS = Queue("orders")
DATABASES = [
    pytest.param("default", id="sqlite"),
    pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
]


def order(request: HttpRequest) -> HttpResponse:
    publish(1, routing_key="orders")
    if "fail" in request.GET:
        raise RuntimeError("after it was published")
    return HttpResponse()


async def order_later(request: HttpRequest) -> HttpResponse:
    if "blocking" in request.GET:
        publish(1, routing_key="orders")
    await sync_to_async(publish)(1, routing_key="orders")
    return HttpResponse()


urlpatterns = [path("order", order), path("later", order_later)]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Application and queues are in it."""
    name = str(request.param)
    request.getfixturevalue("tables" if name == "default" else f"{name}_tables")
    with used(name):
        yield name


@contextmanager
def used(name: str) -> Iterator[None]:
    kombu = {"default": {"URL": f"django://{name}", "DATABASE": name}}
    with override_settings(KOMBU=kombu, ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def atomic_requests(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings[database], "ATOMIC_REQUESTS", True)


def orders(**options: Any) -> list[Any]:
    """Registers a consumer; what it handles is in the list."""
    seen: list[Any] = []

    @consumer(ORDERS, **options)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)
        if body == "bad":
            raise ValueError

    return seen


@pytest.fixture
def opened() -> Iterator[list[object]]:
    """The connections that Django opens."""
    found: list[object] = []

    def note(connection: object, **_: object) -> None:
        found.append(connection)

    connection_created.connect(note)
    yield found
    connection_created.disconnect(note)


def test_what_a_view_published_is_delivered_once_it_has_returned(database: str, atomic_requests: None) -> None:
    seen = orders()
    assert Client().get("/order").status_code == 200
    consume()
    assert seen == [1]


def test_what_a_view_published_before_it_raised_is_never_delivered(database: str, atomic_requests: None) -> None:
    seen = orders()
    assert Client(raise_request_exception=False).get("/order?fail").status_code == 500
    consume()
    assert seen == []


def test_an_async_view_publishes_in_the_thread_for_what_blocks(database: str) -> None:
    seen = orders()
    assert async_to_sync(AsyncClient().get)("/later").status_code == 200
    consume()
    assert seen == [1]


def test_an_async_view_that_would_block_its_loop_is_told_so(database: str) -> None:
    orders()
    with pytest.raises(SynchronousOnlyOperation):
        async_to_sync(AsyncClient().get)("/later?blocking")


@pytest.mark.parametrize("age", [0, None, 600])
def test_a_connection_publishes_on_after_django_has_closed_its_own(database: str, age: int | None) -> None:
    with alias(database, CONN_MAX_AGE=age, CONN_HEALTH_CHECKS=True) as url, Connection(url) as connection:
        ORDERS(connection).declare()
        for number in range(3):
            put(connection, number)
            close_old_connections()
        assert [found.payload for found in _taken(connection)] == [0, 1, 2]


@pytest.mark.parametrize("age", [0, None])
def test_a_consumer_goes_on_after_django_has_closed_the_connection_it_waited_at(
    database: str, age: int | None, opened: list[object]
) -> None:
    seen: list[int] = []

    def handle(body: int, message: Message) -> None:
        seen.append(body)
        message.ack()
        close_old_connections()

    with (
        Connection(f"django://{database}") as other,
        alias(database, CONN_MAX_AGE=age) as url,
        Connection(url, transport_options={"settle_delay": 0}) as connection,
    ):
        ORDERS(connection).declare()
        with connection.Consumer(ORDERS, callbacks=[handle], prefetch_count=1):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.05)
            close_old_connections()
            put(other, *range(3))
            opened.clear()
            for _ in range(3):
                connection.drain_events(timeout=PATIENCE)
    assert seen == [0, 1, 2]
    assert len(opened) <= 4, "one for each time that it was closed, not for each statement"


def test_a_handler_that_fails_does_not_make_the_consumer_connect_for_each_statement(
    database: str, opened: list[object]
) -> None:
    seen = orders(retries=0, backoff=RetryPolicy(interval_start=0))
    with alias(database, CONN_MAX_AGE=0) as url, used(url.removeprefix("django://")):
        publish("bad", routing_key="orders")
        for number in range(10):
            publish(number, routing_key="orders")
        opened.clear()
        consume()
    assert seen == ["bad", *range(10)]
    assert len(opened) <= 3


@pytest.mark.server("postgresql")
def test_a_persistent_connection_that_the_server_has_ended_is_opened_anew(postgresql_tables: None) -> None:
    with alias("postgresql", CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True) as url, Connection(url) as connection:
        ORDERS(connection).declare()
        [[pid]] = _asked(url, "SELECT pg_backend_pid()")
        with psycopg.connect(servers.postgresql_url(), autocommit=True) as root:
            root.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        close_old_connections()
        put(connection, 1)
        assert [found.payload for found in _taken(connection)] == [1]


@pytest.mark.server("postgresql")
def test_two_connections_in_a_thread_share_what_that_has_prepared(postgresql_tables: None) -> None:
    with Connection("django://postgresql") as first, Connection("django://postgresql") as second:
        ORDERS(first).declare()
        for connection in (first, second) * 6:
            put(connection, 1)
        assert len(_taken(first)) == 12


@pytest.fixture
def pooled(request: pytest.FixtureRequest, postgresql_tables: None) -> Iterator[str]:
    """The URL of a database with a connection pool of psycopg's, of so many."""
    pool = {"min_size": 1, "max_size": request.param, "timeout": PATIENCE}
    with alias("postgresql", CONN_MAX_AGE=0, OPTIONS={"pool": pool}) as url:
        yield url
        mine = connections[url.removeprefix("django://")]
        mine.close()
        mine.close_pool()


@pytest.mark.server("postgresql")
@pytest.mark.parametrize("pooled", [2], indirect=True)
def test_through_a_pool_messages_are_published_and_consumed(pooled: str) -> None:
    seen = orders()
    with used(pooled.removeprefix("django://")):
        for number in range(10):
            publish(number, routing_key="orders")
            close_old_connections()
        consume()
    assert seen == list(range(10))


@pytest.mark.server("postgresql")
@pytest.mark.parametrize("pooled", [1], indirect=True)
@pytest.mark.parametrize("leave", [connections.close_all, lambda: None], ids=["to the pool first", "in the end"])
def test_who_gets_a_consumers_connection_from_the_pool_next_is_told_nothing(
    pooled: str, leave: Callable[[], None]
) -> None:
    with Connection(pooled) as connection:
        _wait_in_vain(connection, pooled)
        assert _asked(pooled, "SELECT pg_listening_channels()") == [("kombu",)]
        [[pid]] = _asked(pooled, "SELECT pg_backend_pid()")
        leave()
    assert _asked(pooled, "SELECT pg_backend_pid()") == [(pid,)]
    assert _asked(pooled, "SELECT pg_listening_channels()") == []


@pytest.mark.server("postgresql")
def test_a_thread_listens_as_long_as_one_of_its_connections_does(postgresql_tables: None) -> None:
    connections["postgresql"].ensure_connection()
    with Connection("django://postgresql") as first:
        _wait_in_vain(first)
        with Connection("django://postgresql") as second:
            _wait_in_vain(second)
        assert _asked("django://postgresql", "SELECT pg_listening_channels()") == [("kombu",)]
    assert _asked("django://postgresql", "SELECT pg_listening_channels()") == []


@pytest.mark.server("postgresql")
def test_announcements_that_come_with_an_answer_are_not_kept(postgresql_tables: None) -> None:
    """psycopg would, for ever, where nobody takes them."""
    with Connection("django://postgresql") as connection:
        _wait_in_vain(connection)
        for _ in range(20):
            _asked("django://postgresql", "SELECT pg_notify('kombu', 'orders')")
        assert not connections["postgresql"].connection._notifies_backlog


@pytest.mark.server("postgresql")
def test_consumers_are_told_after_the_commit(postgresql_tables: None) -> None:
    with Connection("django://postgresql") as connection:
        ORDERS(connection).declare()
        with CaptureQueriesContext(connections["postgresql"]) as statements, transaction.atomic(using="postgresql"):
            put(connection, 1)
        words = [each["sql"].split()[0] for each in statements]
        told = [place for place, each in enumerate(statements) if "pg_notify" in each["sql"]]
        assert told == [words.index("COMMIT") + 1]


def test_in_durable_and_nested_transactions_only_what_all_of_them_keep_is_delivered(database: str) -> None:
    seen = orders()
    with transaction.atomic(using=database, durable=True):
        publish("outer", routing_key="orders")
        for keep in (True, False):
            with transaction.atomic(using=database):
                publish(f"nested {keep}", routing_key="orders")
                with transaction.atomic(using=database):
                    publish(f"inmost {keep}", routing_key="orders")
                if not keep:
                    transaction.set_rollback(True, using=database)
        savepoint = connections[database].savepoint()
        publish("taken back", routing_key="orders")
        connections[database].savepoint_rollback(savepoint)
    consume()
    assert seen == ["outer", "nested True", "inmost True"]


def test_what_a_transaction_declared_in_vain_does_not_make_later_ones_look_again_and_again(database: str) -> None:
    seen = orders()
    publish(0, routing_key="orders")
    with transaction.atomic(using=database):
        Queue("more").declare(channel=link("default").channel)
        transaction.set_rollback(True, using=database)
    for number in (1, 2):
        with CaptureQueriesContext(connections[database]) as statements, transaction.atomic(using=database):
            publish(number, routing_key="orders")
    assert [each["sql"].split()[0] for each in statements if "kombu_" in each["sql"]] == ["INSERT"]
    consume()
    assert seen == [0, 1, 2]


def _wait_in_vain(connection: Connection, url: str = "django://postgresql") -> None:
    """Until it listens: on a busy machine the time may be up before the wait begins."""
    ORDERS(connection).declare()
    with connection.Consumer(ORDERS, callbacks=[lambda body, message: None]):
        for _ in range(100):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.05)
            if _asked(url, "SELECT pg_listening_channels()"):
                return


def _asked(url: str, statement: str) -> list[Any]:
    """Of this thread's connection."""
    with connections[url.removeprefix("django://")].cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _taken(connection: Connection) -> list[Message]:
    return list(iter(lambda: ORDERS(connection).get(no_ack=True), None))
