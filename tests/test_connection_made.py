"""What a connection is made from: every form of it, what it says of itself, copies, pickles and equality."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest

from kombu import BrokerConnection, Connection
from kombu.connection import is_connection, parse_url
from kombu.exceptions import InvalidURL, NotSupported, OperationalError, UnknownTransport
from kombu.transport.memory import Transport as Memory
from tests.brokers import Raw, Unreachable, recording


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("amqp://user:pw@host:5673//", ("amqp", "user", "pw", "host", 5673, "/")),
        ("amqp://host/foo", ("amqp", None, None, "host", None, "foo")),
        ("amqp://host//foo", ("amqp", None, None, "host", None, "/foo")),
        ("amqp://", ("amqp", None, None, None, None, None)),
        ("amqps://host", ("amqps", None, None, "host", None, None)),
        ("host", ("amqp", None, None, "host", None, None)),
        ("user:pw@host:1", ("amqp", "user", "pw", "host", 1, None)),
        ("amqp://us%40er:p%2Fw@h%6Fst/v%2Fh", ("amqp", "us@er", "p/w", "host", None, "v/h")),
        ("redis://h:6380/3", ("redis", None, None, "h", 6380, "3")),
        ("redis+socket:///run/r.sock?virtual_host=3", ("redis", None, None, "/run/r.sock", None, "3")),
        ("SQS://key:secret@", ("sqs", "key", "secret", None, None, None)),
        ("sqla+sqlite:///x.db", ("sqla", None, None, "sqlite:///x.db", None, None)),
        ("memory://", ("memory", None, None, None, None, None)),
    ],
)
def test_every_form_of_a_url_is_taken_apart(url: str, parts: tuple[Any, ...]) -> None:
    made = Connection(url)
    assert (made.transport_cls, made.userid, made.password, made.hostname, made.port, made.virtual_host) == parts


def test_the_default_is_the_local_host() -> None:
    assert Connection().hostname == Connection(None).hostname == "localhost"
    assert Connection(transport="memory").as_uri() == "memory://localhost"


def test_the_query_says_what_arguments_could() -> None:
    made = Connection("amqp://h?ssl=1&heartbeat=10&connect_timeout=3&login_method=PLAIN&frame_max=9", heartbeat=4)
    assert (made.ssl, made.heartbeat, made.connect_timeout, made.login_method) == (True, 10.0, 3.0, "PLAIN")
    assert made.transport_options == {"frame_max": "9"}


def test_what_ssl_needs_is_not_lost_where_the_query_says_that_there_is_ssl() -> None:
    assert Connection("amqp://h?ssl=1", ssl={"ca_certs": "x"}).ssl == {"ca_certs": "x"}


def test_arguments_that_are_none_are_not_given() -> None:
    made = Connection("amqp://h", connect_timeout=None, heartbeat=None, ssl=None, failover_strategy=None)
    assert (made.connect_timeout, made.heartbeat, made.ssl, made) == (5.0, 0.0, False, Connection("amqp://h"))


def test_the_arguments_of_older_programs_are_understood() -> None:
    made = BrokerConnection("h", "u", "p", "v", 1, True, backend_cls="memory")
    assert (made.as_uri(include_password=True), is_connection(made)) == ("memory://u:p@h:1/v", True)
    assert not is_connection(made.as_uri())
    assert parse_url("memory://h")["transport"] == "memory"


@pytest.mark.parametrize(
    ("hostname", "options"),
    [
        ([], {}),
        ("amqp://a;;amqp://b", {}),
        ("amqp://a;", {}),
        ("amqp://a;amqp://b:port", {}),
        ("amqp://a", {"alternates": ["amqp://:nine"]}),
        (["amqp://a", 3], {}),
        ([3], {}),
        ("amqp://a", {"port": "x"}),
    ],
)
def test_a_list_with_an_entry_that_means_nothing_is_refused_at_once(hostname: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidURL):
        Connection(hostname, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": "many"},
        {"max_retries": -1},
        {"interval_start": "soon"},
        {"interval_max": -1},
        {"connect_retries_timeout": "nan"},
        {"errback": "print"},
    ],
)
def test_a_retry_option_that_is_not_understood_is_refused_naming_it(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidURL, match=next(iter(options))):
        Connection("memory://", transport_options=options)


def test_an_argument_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="hotsname"):
        Connection(hotsname="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="hotsname"):
        Connection().clone(hotsname="x")


def test_secrets_are_shown_nowhere() -> None:
    made = Connection(
        ["amqp://u:s3cret@a", "u:s3cret@b"],
        transport_options={"sentinel_kwargs": {"password": "s3cret", "db": 1}, "sts_token": "s3cret"},
        ssl={"password": "s3cret", "ca_certs": "x"},
    )
    made.switch("amqp://u:s3cret@b")
    shown = [repr(made), made.as_uri(), str(made.info()), repr(made._given), repr(made._line.target)]
    assert not [text for text in shown if "s3cret" in text]
    assert made.info()["ssl"] == {"password": "**", "ca_certs": "x"}
    assert made.info()["transport_options"]["sentinel_kwargs"] == {"password": "**", "db": 1}


def test_the_password_is_kept_out_of_what_a_driver_says(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(OperationalError) as raised:
        Connection("amqp://u:s3cret@h", transport=Raw).connect()
    assert str(raised.value) == "memory://u:**@h: cannot log in with **"
    assert "s3cret" not in caplog.text


def test_it_says_where_it_goes() -> None:
    made = Connection("amqp://h:1/v", uri_prefix="sqla")
    assert (made.host, made.as_uri(), made.uri_prefix) == ("h:1", "sqla+amqp://h:1/v", "sqla")
    assert Connection("pyamqp://h").as_uri() == "amqp://h"
    assert Connection("memory://").host == ""
    assert Connection("memory://").failover_strategies.keys() == {"round-robin", "shuffle"}


def test_equal_are_connections_that_are_made_from_the_same() -> None:
    one = Connection("memory://u:p@name/v?lease=5")
    same = Connection("name", "u", "p", "v", transport="memory", transport_options={"lease": "5"})
    assert one == same
    assert hash(one) == hash(same)
    assert {one: 1}[same] == 1
    others = [
        Connection("memory://u:q@name/v?lease=5"),
        Connection("memory://u:p@name/v"),
        Connection("memory://u:p@name/v?lease=5;other"),
        Connection("memory://u:p@name/v?lease=5", credential_provider=lambda: ("u", "p")),
        Connection("memory://u:p@name/v?lease=5", heartbeat=1),
    ]
    assert not [other for other in others if other == one]
    assert one != "memory://u:p@name/v?lease=5"


def test_a_copy_is_equal_and_not_connected(name: str) -> None:
    with Connection(f"memory://u:s3cret@{name};memory://b", alternates=["c"], heartbeat=3) as connection:
        connection.connect()
        for made in (copy.copy(connection), connection.clone(), pickle.loads(pickle.dumps(connection))):
            assert (made == connection, made.connected, made.password) == (True, False, "s3cret")
            assert made.alt == connection.alt == [f"memory://u:s3cret@{name}", "memory://b", "memory://c"]
            with made:
                made.connect()
        assert connection.connected


def test_a_clone_may_differ() -> None:
    changed = Connection("memory://a/v", heartbeat=3).clone(hostname="memory://b", heartbeat=4)
    assert (changed.as_uri(), changed.heartbeat) == ("memory://b", 4.0)


def test_it_tells_what_its_transport_can_do() -> None:
    made = Connection("h", transport=recording(), heartbeat=7)
    assert (made.supports_heartbeats, made.get_heartbeat_interval(), made.is_evented) == (True, 7.0, False)
    assert (made.supports_exchange_type("direct"), made.supports_exchange_type("topic")) == (True, False)
    assert made.qos_semantics_matches_spec is False
    assert not Connection("memory://").supports_heartbeats
    assert Connection("memory://", heartbeat=7).get_heartbeat_interval() == 0.0
    assert isinstance(Connection("memory://").create_transport(), Memory)
    assert (made.recoverable_connection_errors, made.recoverable_channel_errors) == ((OperationalError,), ())


def test_a_transport_that_there_is_not_shows_when_it_is_needed() -> None:
    made = Connection("smoke-signals://")
    for ask in (lambda: made.transport, lambda: made.connection_errors, lambda: made.is_evented, made.connect):
        with pytest.raises(UnknownTransport, match="smoke-signals"):
            ask()


def test_management_is_the_transport_s_if_it_has_some() -> None:
    managed = Connection("h", transport=recording(get_manager=lambda self, *args: ("manager", *args)))
    assert (managed.manager, managed.get_manager(1)) == (("manager",), ("manager", 1))
    with pytest.raises(NotSupported, match="'memory'"):
        _ = Connection("memory://").manager


def test_an_event_loop_is_refused_where_the_transport_cannot() -> None:
    with pytest.raises(NotSupported, match=r"kombu\.aio"):
        Connection("h", transport=Unreachable).register_with_event_loop(object())


def test_an_event_loop_is_handed_to_a_transport_that_can() -> None:
    given: list[object] = []
    evented = recording(
        implements=Memory.implements._replace(asynchronous=True),
        register_with_event_loop=lambda self, connection, loop: given.extend([connection, loop]),
    )
    Connection("h", transport=evented).register_with_event_loop("loop")
    assert given == [evented.made[0], "loop"]
