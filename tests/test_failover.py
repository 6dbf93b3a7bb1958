"""Brokers stand in for each other: who is tried when, and what the connection says of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pytest

from kombu import Connection
from kombu.exceptions import ConnectionError, OperationalError
from kombu.transport.base import TransportConnection
from tests.brokers import Recording

AT_ONCE = {"interval_start": 0.0, "interval_step": 0.0, "interval_max": 0.0}


class Some(Recording):
    """Brokers by host name, of which some are down."""

    down: ClassVar[set[str]]
    tried: ClassVar[list[str | None]]

    def establish_connection(self) -> TransportConnection:
        self.tried.append(self.address.hostname)
        if self.address.hostname in self.down:
            raise OperationalError(f"{self.address.hostname} is down")
        return super().establish_connection()


def some(*down: str) -> type[Some]:
    return type("SomeHere", (Some,), {"made": [], "tried": [], "down": set(down)})


@pytest.mark.parametrize(
    ("hostname", "alternates"),
    [
        ("memory://a;memory://b;memory://c", None),
        ("memory://a;b;c", None),
        (["memory://a", "memory://b", "c"], None),
        (("memory://a", "b;c"), None),
        ("memory://a", ["memory://b", "c"]),
        ("memory://a;b", ("c",)),
    ],
)
def test_a_list_is_written_in_several_ways(hostname: str | list[str], alternates: list[str] | None) -> None:
    connection = Connection(hostname, alternates=alternates)
    assert connection.alt == ["memory://a", "memory://b", "memory://c"]
    assert connection.as_uri() == "memory://a"
    assert connection.info()["alternates"] == connection.alt


def test_only_the_scheme_is_taken_from_the_first() -> None:
    connection = Connection("memory://u:p@a:1/v;b", password="s3cret")
    assert connection.alt[1] == "memory://b"
    connection.maybe_switch_next()
    assert connection.as_uri(include_password=True) == "memory://:s3cret@b"


def test_one_url_has_no_alternates() -> None:
    connection = Connection("memory://a")
    before = connection.connect()
    connection.maybe_switch_next()
    assert (connection.alt, connection.cycle, connection.connect()) == (["memory://a"], None, before)
    assert connection.completes_cycle(0)
    connection.close()


def test_connecting_tries_each_broker_once_and_stays_where_one_answers() -> None:
    transport = some("a", "b")
    connection = Connection("u:s3cret@a;b;c", transport=transport)
    connection.connect()
    assert (transport.tried, connection.as_uri(), repr(connection)) == (
        ["a", "b", "c"],
        "recording://c",
        "<Connection recording://c>",
    )
    connection.reconnect()
    connection.connect()
    assert transport.tried[3:] == ["c"]


def test_when_all_are_down_the_error_is_the_last_one_s_and_the_first_is_next() -> None:
    transport = some("a", "b")
    connection = Connection("a;b", transport=transport)
    with pytest.raises(OperationalError, match="b is down"):
        _ = connection.default_channel
    assert (transport.tried, connection.hostname) == (["a", "b"], "a")


def test_ensuring_a_connection_pauses_only_when_all_were_tried() -> None:
    transport = some("a", "b", "c")
    pauses: list[tuple[str, bool]] = []
    connection = Connection("a;b;c", transport=transport)

    def errback(error: Exception, pause: float) -> None:
        pauses.append((str(error), pause > 0))

    with pytest.raises(OperationalError, match="a is down"):
        connection.ensure_connection(errback, max_retries=6, interval_start=0.001, interval_step=0)
    assert transport.tried == ["a", "b", "c", "a", "b", "c", "a"]
    assert [paused for _, paused in pauses] == [False, False, True, False, False, True]
    assert [retries for retries in range(7) if connection.completes_cycle(retries)] == [2, 5]


def test_ensuring_a_connection_finds_the_one_that_answers() -> None:
    transport = some("a", "b")
    connection = Connection("a;b;c", transport=transport)
    connection.ensure_connection(max_retries=2)
    assert (transport.tried[-1], connection.hostname, connection.connected) == ("c", "c", True)


def test_what_is_ensured_goes_on_at_the_next_broker() -> None:
    transport = some()
    connection = Connection("a;b", transport=transport)
    connection.connect()

    def fun() -> str | None:
        if connection.hostname == "a":
            transport.down.add("a")
            raise ConnectionError("a hung up")
        return connection.hostname

    assert connection.ensure(connection, fun, max_retries=1, **AT_ONCE)() == "b"


def test_round_robin_goes_round() -> None:
    connection = Connection("memory://a;b;c")
    hosts = []
    for _ in range(4):
        hosts.append(connection.hostname)
        connection.maybe_switch_next()
    assert hosts == ["a", "b", "c", "a"]


def test_shuffling_tries_each_once_a_round() -> None:
    connection = Connection("memory://a;b;c", failover_strategy="shuffle")
    hosts = []
    for _ in range(6):
        hosts.append(connection.hostname)
        connection.maybe_switch_next()
    assert sorted(hosts[:3]) == sorted(hosts[3:]) == ["a", "b", "c"]


def test_a_strategy_may_be_any_function_and_begins_anew_when_it_ends() -> None:
    def last_first(urls: list[str]) -> Iterable[str]:
        return reversed(urls)

    connection = Connection("memory://a;b", failover_strategy=last_first)
    assert connection.failover_strategy is last_first
    hosts = []
    for _ in range(4):
        hosts.append(connection.hostname)
        connection.maybe_switch_next()
    assert hosts == ["b", "a", "b", "a"]


def test_a_strategy_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'best'.*round-robin"):
        Connection("memory://a;b", failover_strategy="best")
    with pytest.raises(ValueError, match="names no URL"):
        Connection("memory://a;b", failover_strategy=lambda urls: [])


def test_copies_begin_with_the_first_broker_again() -> None:
    connection = Connection("memory://a;b")
    connection.maybe_switch_next()
    assert (connection.hostname, connection.clone().hostname) == ("b", "a")
    assert connection == connection.clone()


def test_switching_by_hand_takes_any_url_and_its_password_stays_hidden() -> None:
    connection = Connection("memory://a;b")
    connection.switch("memory://u:s3cret@elsewhere")
    assert (connection.as_uri(), connection.password) == ("memory://u:**@elsewhere", "s3cret")
    connection.maybe_switch_next()
    assert connection.hostname == "b"
