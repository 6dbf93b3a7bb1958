"""A connection is made from a URL, says clearly what is wrong with it, and never gives its password away."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import BrokerConnection, Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.exceptions import ChannelError, InvalidURL, NotBoundError, OperationalError, UnknownTransport
from kombu.transport.base import Address, TransportConnection
from kombu.transport.memory import Transport as Memory
from kombu.transport.virtual.connection import VirtualConnection
from tests.brokers import waking

orders = Queue("orders")


def test_connections_of_the_same_name_share_their_queues(connection: Connection, name: str) -> None:
    orders(connection).declare()
    connection.Producer().publish(1, routing_key="orders")
    with Connection(f"memory://{name}") as same, Connection(f"memory://{name}2") as another:
        message = orders(same).get()
        assert message is not None
        assert message.payload == 1
        assert another.default_channel.connection.current_topology().queues == {}  # type: ignore[attr-defined]


def test_a_connection_is_opened_when_it_is_first_needed(name: str) -> None:
    transport = waking(0)
    connection = Connection(f"memory://{name}", transport=transport)
    producer = connection.Producer()
    assert (connection.connected, transport.attempts) == (False, 0)
    producer.publish("x", routing_key="nobody")
    assert (connection.connected, transport.attempts) == (True, 1)
    connection.close()
    assert not connection.connected


def test_a_url_and_arguments_together_say_where_to_connect() -> None:
    connection = Connection("amqp://user:pw@host:5673/vh?connect_timeout=2.5&ssl=yes", userid="me", heartbeat=10)
    assert connection.info() == {
        "hostname": "host",
        "userid": "me",
        "virtual_host": "vh",
        "port": 5673,
        "ssl": True,
        "transport": "amqp",
        "connect_timeout": 2.5,
        "heartbeat": 10.0,
        "login_method": None,
        "transport_options": {},
        "uri_prefix": None,
        "failover_strategy": "round-robin",
        "alternates": [],
    }


def test_every_part_may_come_as_an_argument() -> None:
    connection = Connection("host", userid="u", password="p", virtual_host="v", port=1234, transport="memory")
    assert connection.as_uri(include_password=True) == "memory://u:p@host:1234/v"


@pytest.mark.parametrize(
    "url",
    ["amqp://user:s3cret@host//", "user:s3cret@host", "amqp://host?password=s3cret", "amqp://user@host"],
)
def test_the_password_is_masked_wherever_a_connection_is_shown(url: str) -> None:
    connection = Connection(url, password="s3cret")
    shown = [repr(connection), connection.as_uri(), str(connection.info()), repr(connection._address)]
    assert not [text for text in shown if "s3cret" in text]
    assert ":**@host" in connection.as_uri()
    assert ":xx@host" in connection.as_uri(mask="xx")
    assert "s3cret" in connection.as_uri(include_password=True)


def test_the_password_of_a_url_within_the_url_is_masked_too() -> None:
    connection = Connection("sqla+postgresql://user:s3cret@host/db")
    shown = [repr(connection), connection.as_uri(), str(connection.info()), repr(connection._address)]
    assert not [text for text in shown if "s3cret" in text]
    assert connection.as_uri(include_password=True) == "sqla+postgresql://user:s3cret@host/db"


@pytest.mark.parametrize("url", ["", "amqp://host:port", "amqp://user:s3cret@ho st/", "memory://x?transport=amqp"])
def test_a_url_that_means_nothing_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidURL) as raised:
        Connection(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("query", ["connect_timeout=soon", "heartbeat=often", "connect_timeout=-1", "heartbeat=nan"])
def test_a_time_that_is_none_is_refused_at_once(query: str) -> None:
    with pytest.raises(InvalidURL, match=query.partition("=")[0]):
        Connection(f"memory://x?{query}")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("lese=60", "unknown transport option 'lese': known are .*lease.*prefetch"),
        ("lease=long", "lease='long' is not a number"),
        ("lease=0", "lease='0' must be at least 0.05"),
        ("lease=inf", "lease='inf'"),
        ("settle_delay=-1", "settle_delay='-1' must be at least 0"),
        ("settle_delay=nan", "settle_delay='nan'"),
        ("prefetch=0", "prefetch='0' must be at least 1"),
        ("prefetch=2.5", "prefetch='2.5'"),
    ],
)
def test_a_transport_option_that_is_not_understood_is_refused_naming_it(option: str, message: str) -> None:
    with pytest.raises(InvalidURL, match=message):
        Connection(f"memory://x?{option}").connect()


def test_options_come_from_the_query_and_arguments_win(name: str) -> None:
    url = f"memory://{name}?lease=5&prefetch=3"
    with Connection(url, transport_options={"prefetch": 7, "settle_delay": 0.5}) as connection:
        made = connection.connect()
        assert isinstance(made, VirtualConnection)
        assert (made.ledger.lease, made.ledger.settle_delay, made.prefetch) == (5.0, 0.5, 7)


def test_ensure_connection_tries_until_the_broker_answers(name: str) -> None:
    heard: list[tuple[str, float]] = []
    connection = Connection(f"memory://{name}", transport=waking(2))
    with connection.ensure_connection(
        errback=lambda error, pause: heard.append((str(error), pause)), interval_start=0, interval_step=0
    ) as ready:
        assert ready.connected
    assert heard == [("attempt 1 failed", 0.0), ("attempt 2 failed", 0.0)]


@pytest.mark.parametrize(
    ("limits", "attempts"), [({"max_retries": 3}, 4), ({"max_retries": 0}, 1), ({"timeout": 0}, 1)]
)
def test_ensure_connection_raises_the_last_error_at_its_limit(limits: dict[str, Any], attempts: int) -> None:
    transport = waking(1000)
    with pytest.raises(OperationalError, match=f"attempt {attempts} failed"):
        Connection("memory://x", transport=transport).ensure_connection(interval_start=0, interval_step=0, **limits)
    assert transport.attempts == attempts


def test_ensure_connection_does_not_try_again_what_cannot_help() -> None:
    with pytest.raises(UnknownTransport):
        Connection("smoke-signals://").ensure_connection()


def test_connecting_once_raises_the_first_error() -> None:
    with pytest.raises(OperationalError, match="attempt 1 failed"):
        Connection("memory://x", transport=waking(1)).connect()


def test_leaving_the_block_closes_the_connection(name: str) -> None:
    with pytest.raises(ZeroDivisionError), Connection(f"memory://{name}") as connection:
        channel = connection.channel()
        raise ZeroDivisionError
    assert (connection.connected, channel.is_open) == (False, False)
    connection.close()


def test_the_default_channel_is_one_and_others_are_new(connection: Connection) -> None:
    default = connection.default_channel
    assert connection.default_channel is default
    assert len({id(default), id(connection.channel()), id(connection.channel())}) == 3
    default.close()
    assert connection.default_channel is not default
    assert connection.default_channel.is_open


def test_producers_and_consumers_are_made_on_the_default_or_a_given_channel(connection: Connection) -> None:
    channel = connection.channel()
    assert isinstance(connection.Producer(), Producer)
    assert connection.Producer().channel is connection.default_channel
    assert connection.Producer(channel).channel is channel
    assert isinstance(connection.Consumer(orders), Consumer)
    assert connection.Consumer([orders]).channel is connection.default_channel
    assert connection.Consumer(orders, channel).channel is channel


def test_after_reconnecting_everything_goes_on_with_a_new_connection(connection: Connection) -> None:
    seen: list[Message] = []
    producer = connection.Producer(exchange=Exchange("shop"), routing_key="orders")
    orders(connection).declare()
    before = connection.connect()
    stale = connection.channel()
    connection.reconnect()
    assert not before.connected
    producer.publish(1, exchange="")
    assert connection.connect() is not before
    with pytest.raises(NotBoundError, match="closed"):
        stale.queue_declare("orders")
    with connection.Consumer(orders, on_message=seen.append):
        connection.drain_events(timeout=0)
    assert [message.payload for message in seen] == [1]


def test_a_connection_tells_which_errors_mean_that_it_is_lost_or_that_it_was_refused(connection: Connection) -> None:
    assert OperationalError in connection.connection_errors
    assert ChannelError in connection.channel_errors
    assert BrokerConnection is Connection


def test_the_transport_is_given_the_whole_address(name: str) -> None:
    given: list[Address] = []

    class Listening(Memory):
        def establish_connection(self) -> TransportConnection:  # type: ignore[override]
            given.append(self.address)
            return super().establish_connection()

    with Connection(f"u:p@{name}:99/v", transport=Listening, ssl={"ca_certs": "x"}, login_method="EXTERNAL") as made:
        made.connect()
    [address] = given
    assert (address.userid, address.password, address.hostname, address.port) == ("u", "p", name, 99)
    assert (address.virtual_host, address.ssl, address.login_method) == ("v", {"ca_certs": "x"}, "EXTERNAL")
