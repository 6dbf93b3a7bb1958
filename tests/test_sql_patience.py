"""A database that says nothing any more: who waits for it is told in time, and what it is told is what happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kombu import Connection, Queue
from kombu.exceptions import ConnectionError, InvalidURL, PublishUncertain
from kombu.transport.virtual import drain
from tests.memory import PATIENCE
from tests.places import EVERYWHERE, ON_SERVERS, Place, places
from tests.proxy import Proxy

ORDERS = Queue("orders")
AN_HOUR = 3600.0
A_MOMENT = 0.3

on_servers = pytest.mark.parametrize("place", ON_SERVERS, indirect=True)


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    proxy = place.proxy()
    yield proxy
    proxy.fall_silent(False)


def connected(place: Place, proxy: Proxy, answer_timeout: float) -> Connection:
    """Declared and published, so that what comes next is one statement."""
    connection = place.connect(place.through(proxy), answer_timeout=answer_timeout)
    ORDERS(connection).declare()
    connection.Producer().publish("before", routing_key="orders")
    return connection


@on_servers
def test_a_publish_keeps_to_its_timeout_and_says_that_nobody_knows(place: Place, proxy: Proxy) -> None:
    def scene() -> None:
        producer = connected(place, proxy, AN_HOUR).Producer(routing_key="orders")
        proxy.fall_silent()
        with pytest.raises(PublishUncertain, match=r"no answer within 0\.[23]\d* seconds"):
            producer.publish("late", timeout=A_MOMENT)

    place.in_background(scene).result(PATIENCE)


@on_servers
def test_a_drain_waits_a_little_longer_than_its_caller_and_no_more(
    place: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "_PATIENCE", A_MOMENT)

    def scene() -> None:
        connection = connected(place, proxy, AN_HOUR)
        connection.Consumer(ORDERS, on_message=lambda message: message.ack()).consume()
        connection.drain_events(timeout=PATIENCE)
        proxy.fall_silent()
        with pytest.raises(ConnectionError, match="no answer within"):
            connection.drain_events(timeout=A_MOMENT)

    place.in_background(scene).result(PATIENCE)


@on_servers
def test_what_has_no_timeout_waits_as_long_as_the_option_says(place: Place, proxy: Proxy) -> None:
    def scene() -> None:
        connection = connected(place, proxy, A_MOMENT)
        proxy.fall_silent()
        with pytest.raises(ConnectionError, match=f"no answer within {A_MOMENT} seconds"):
            ORDERS(connection).get()
        proxy.fall_silent(False)
        assert ORDERS(connection).get() is not None

    place.in_background(scene).result(PATIENCE)


@pytest.mark.parametrize("place", places("django-postgresql", "django-mariadb"), indirect=True)
def test_a_thread_that_has_to_connect_first_is_told_in_time(place: Place, proxy: Proxy) -> None:
    """Django's settings have no limit for that."""
    connection = connected(place, proxy, AN_HOUR)
    proxy.fall_silent()
    getting = place.in_background(lambda: ORDERS(connection).get())
    with pytest.raises(ConnectionError):
        getting.result(PATIENCE)


@pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
@pytest.mark.parametrize("given", [0, -1, "soon", float("inf"), float("nan"), None])
def test_a_limit_that_is_none_is_refused(place: Place, given: Any) -> None:
    with pytest.raises(InvalidURL, match="answer_timeout"):
        place.connect(answer_timeout=given).connect()
