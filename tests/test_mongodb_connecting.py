"""How MongoDB is reached: URLs and options, and clear errors in time where it is not; with users, TLS, and alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import AccessRefused, ConnectionError, InvalidURL, NotSupported
from kombu.testing.outcomes import OutcomeConformance
from kombu.testing.waiting import WaitingConformance
from kombu.transport.mongodb import MongoStore, Transport
from kombu.transport.mongodb.settings import Settings, read_settings
from kombu.transport.mongodb.waiting import Bell, Watch
from tests import mongodb, servers
from tests.certificates import Authority
from tests.mongodb import again, private
from tests.proxy import Proxy

HERE = f"{servers.HOST}:{servers.MONGODB_PORT}"


def settings(url: str | None, **given: Any) -> Settings:
    """As a connection reads it."""
    connection = Connection(url, **given)
    return read_settings(connection._address)


def test_a_url_reaches_the_driver_whole_but_for_what_is_ours() -> None:
    found = settings(
        "mongodb://u:p%40w@h1:1,h2:2/shop?replicaSet=rs&lease=5&connect_timeout=3&max_retries=2&authSource=admin",
        transport_options={"prefetch": 3, "maxPoolSize": 7},
    )
    assert found.arguments["host"] == "mongodb://u:p%40w@h1:1,h2:2/shop?replicaSet=rs&authSource=admin"
    assert (found.arguments["maxPoolSize"], found.arguments["connectTimeoutMS"]) == (7, 2400)
    assert not {"lease", "prefetch", "max_retries", "replicaSet"} & found.arguments.keys()
    assert (found.database, found.messages, found.queues) == ("shop", "kombu_messages", "kombu_queues")
    assert "p%40w" not in repr(found)


def test_a_url_of_a_service_name_is_the_drivers() -> None:
    found = settings("mongodb+srv://u:pw@cluster.example.org/shop?lease=5&w=2")
    assert found.arguments["host"] == "mongodb+srv://u:pw@cluster.example.org/shop?w=2"
    assert Connection("mongodb+srv://cluster.example.org").get_transport_cls() is Transport


@pytest.mark.parametrize(
    ("url", "given", "database"),
    [
        ("mongodb://h", {}, "kombu_default"),
        ("mongodb://h/", {}, "kombu_default"),
        ("mongodb://h/shop", {}, "shop"),
        ("mongodb://h/my%2Dshop", {}, "my-shop"),
        ("mongodb://h/shop", {"virtual_host": "other"}, "other"),
        ("mongodb://h", {"transport_options": {"default_database": "other"}}, "other"),
    ],
)
def test_the_database_is_the_path_of_the_url(url: str, given: Mapping[str, Any], database: str) -> None:
    assert settings(url, **given).database == database


def test_what_a_url_leaves_out_may_be_an_argument_or_an_option() -> None:
    found = settings(
        "mongodb://", transport_options={"default_hostname": "h", "default_port": 5}, userid="u", password="p"
    )
    assert found.arguments["host"] == "mongodb://h/"
    assert [found.arguments[name] for name in ("port", "username", "password")] == [5, "u", "p"]
    assert settings("h", transport="mongodb").arguments["host"] == "mongodb://h/"
    assert settings("mongodb://h?ssl=true").arguments["tls"] is True
    assert settings("mongodb://h", ssl={"ca_certs": "ca.pem"}).arguments["tlsCAFile"] == "ca.pem"
    lax = settings("mongodb://h", ssl={"cert_reqs": "none", "check_hostname": False}).arguments
    assert (lax["tlsAllowInvalidCertificates"], lax["tlsAllowInvalidHostnames"]) == (True, True)
    assert settings("mongodb://h", ssl={"cert_reqs": "required"}).arguments["tlsAllowInvalidCertificates"] is False
    with pytest.raises(InvalidURL, match="cert_reqs='maybe'"):
        settings("mongodb://h", ssl={"cert_reqs": "maybe"})


def test_collections_have_a_prefix_or_names() -> None:
    assert settings("mongodb://h?collection_prefix=my.").messages == "my.messages"
    named = settings("mongodb://h?messages_collection=m&queues_collection=q")
    assert (named.messages, named.queues) == ("m", "q")


def test_the_password_is_shown_nowhere() -> None:
    connection = Connection("mongodb://u:secret@h1:1,h2:2/shop?replicaSet=rs")
    shown = (repr(connection), connection.as_uri(), str(connection.info()), repr(connection._address), connection.host)
    assert not [text for text in shown if "secret" in text and text is not connection.host]
    assert connection.as_uri(include_password=True) == "mongodb://u:secret@h1:1,h2:2/shop?replicaSet=rs"


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("mongodb://h?foo=1", {}, "'foo'.*Known options are.*collection_prefix.*lease.*driver"),
        ("mongodb://h", {"foo": 1}, "foo.*Known options are.*collection_prefix.*lease.*driver"),
        ("mongodb://h?lease=soon", {}, "lease='soon'"),
        ("mongodb://h?timeout=soon", {}, "timeout='soon'.*seconds"),
        ("mongodb://h?timeoutMS=soon", {}, "timeoutms"),
        ("mongodb://h?change_streams=perhaps", {}, "change_streams='perhaps'"),
        ("mongodb://h", {"collection_prefix": 5}, "collection_prefix=5.*text"),
        ("mongodb://h", {"default_port": "http"}, "default_port='http'"),
        ("mongodb://h", {"capped_queue_size": 100}, "capped_queue_size: .*leave it out"),
        ("mongodb://h", {"broadcast_collection": "b"}, "broadcast_collection: .*leave it out"),
        ("mongodb://h", {"routing_collection": "r"}, "routing_collection: .*leave it out"),
        ("mongodb://h", {"ttl": False}, "ttl=False: it is always on"),
        ("mongodb://h/a.b", {}, "database 'a.b'"),
        ("mongodb://h/" + "n" * 64, {}, "63 bytes"),
        ("mongodb://h:99999", {}, "[Pp]ort"),
        ("mongodb://u:secret%@h", {}, "[Uu]sername and password must be"),
        ("mongodb://u:sec/ret@h", {}, "%40, %2F and %3F"),
        ("mongodb://u:sec?ret@h", {}, "%40, %2F and %3F"),
        ("mongodb://u:se@cret/x@h", {}, "%40, %2F and %3F"),
    ],
)
def test_a_url_or_an_option_that_means_nothing_is_refused_at_once(
    url: str, options: Mapping[str, object], reason: str
) -> None:
    with pytest.raises(InvalidURL, match=reason) as refused:
        Connection(url, transport_options=options).connect()
    assert "cret" not in str(refused.value)


def test_options_of_today_s_kombu_that_are_always_on_are_taken() -> None:
    assert settings("mongodb://h?ttl=true&calc_queue_size=1").database == "kombu_default"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mongodb://127.0.0.1:1/shop", r"mongodb://127.0.0.1:1/shop cannot be reached: .*refused"),
        ("mongodb://nobody.invalid/shop", r"nobody\.invalid.*cannot be reached"),
        ("mongodb://127.0.0.1:1,127.0.0.1:2/shop?replicaSet=rs", "cannot be reached: .*refused"),
    ],
)
def test_a_server_that_is_not_there_is_named_in_time(url: str, reason: str) -> None:
    with pytest.raises(ConnectionError, match=reason):
        Connection(url, connect_timeout=0.5).connect()


@pytest.mark.server("mongodb")
@pytest.mark.parametrize(
    ("query", "error", "reason"),
    [
        ("?replicaSet=other", ConnectionError, 'replica set name "other"'),
        ("?tls=true", ConnectionError, "SSL handshake failed"),
        ("?w=0", InvalidURL, "w=0"),
    ],
)
def test_what_does_not_fit_the_server_is_said(query: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        Connection(f"mongodb://{HERE}/kombu{query}", connect_timeout=1).connect()


@pytest.mark.server("mongodb")
def test_a_user_whom_the_server_does_not_know_is_refused_by_name() -> None:
    told = r"mongodb://nobody:\*\*@.*does not let this user in: .*authSource"
    with pytest.raises(AccessRefused, match=told) as refused:
        Connection(f"mongodb://nobody:secret@{HERE}/kombu").connect()
    assert refused.value.__cause__ is not None


@pytest.mark.server("mongodb")
def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with Proxy(servers.MONGODB_PORT) as proxy:
        proxy.fall_silent()
        with pytest.raises(ConnectionError, match="cannot be reached"):
            Connection(mongodb.url("kombu", proxy.port), connect_timeout=0.5).connect()


@pytest.mark.server("mongodb")
def test_users_get_in_with_their_password_and_nobody_else_does() -> None:
    with private() as server:
        with mongodb.client(server.port) as client:
            client["shop"].command("createUser", "clerk", pwd="p@ss", roles=["readWrite"])
        again(server, "--auth")
        assert_works(f"mongodb://clerk:p%40ss@{servers.HOST}:{server.port}/shop?directConnection=true")
        for url, reason in (
            (f"mongodb://clerk:wrong@{servers.HOST}:{server.port}/shop", "does not let this user in"),
            (f"mongodb://clerk:p%40ss@{servers.HOST}:{server.port}/shop?authSource=admin", "authSource"),
            (f"mongodb://{servers.HOST}:{server.port}/shop", "readWrite"),
        ):
            with pytest.raises(AccessRefused, match=reason), Connection(url) as connection:
                Queue("orders")(connection).declare()


@pytest.mark.server("mongodb")
def test_the_servers_certificate_is_verified_and_so_is_its_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text("".join(part.read_text() for part in authority.sign("server", "localhost", "DNS:localhost")))
    with private(f"--tls-cert-file {both} --tls-key-file {both}") as server:
        there = f"localhost:{server.port}/shop?directConnection=true&tls=true"
        assert_works(f"mongodb://{there}&tlsCAFile={authority.ca}")
        for url, reason in (
            (f"mongodb://{there}", "certificate verify failed"),
            (f"mongodb://{servers.HOST}:{there.partition(':')[2]}&tlsCAFile={authority.ca}", "IP address mismatch"),
        ):
            with pytest.raises(ConnectionError, match=reason):
                Connection(url, connect_timeout=1).connect()


@pytest.fixture(scope="class")
def alone() -> Iterator[int]:
    """The port of a server without a set of replicas."""
    with private("--standalone") as server:
        yield server.port


@pytest.mark.server("mongodb")
class TestAlone(OutcomeConformance, WaitingConformance):
    """A server without a set of replicas has no transactions and no change streams, and keeps the rest."""

    patience = 60.0

    @pytest.fixture(autouse=True)
    def _server(self, alone: int) -> None:
        self.port = alone
        self.database = mongodb.new_database()

    def open_store(self) -> MongoStore:
        store = mongodb.new_store(self.database, self.port)
        store.open()
        return store

    def test_what_needs_a_transaction_is_refused_by_name(self) -> None:
        with Connection(mongodb.url(self.database, self.port)) as connection:
            full = Queue("full", queue_arguments={"x-overflow": "reject-publish", "x-max-length": 1})
            with pytest.raises(NotSupported, match="transport 'mongodb' does not keep the argument 'x-overflow'"):
                full(connection).declare()

    def test_why_consumers_poll_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level("INFO", "kombu.transport.mongodb"):
            store = self.handle()
            assert isinstance(store, MongoStore)
            watch = Watch(store.server.messages, Bell(), "here", 5.0)
            assert not watch.covers({1})
            assert watch._thread is not None
            watch._thread.join(self.patience)
            assert not watch.covers({1})
        assert [record.getMessage().partition("(")[0] for record in caplog.records] == [
            f"{store.server.place}: no replica set, so no transactions and no change streams",
            "here: no change stream ",
        ]

    def test_dead_letters_move(self) -> None:
        with Connection(mongodb.url(self.database, self.port)) as connection:
            grave = Exchange("grave", "fanout")
            Queue("dead", grave)(connection).declare()
            orders = Queue("orders", queue_arguments={"x-dead-letter-exchange": "grave"})(connection)
            orders.declare()
            connection.Producer(routing_key="orders").publish(1)
            found = orders.get()
            assert found is not None
            found.reject()
            connection.release()
            letter = Queue("dead")(connection).get(no_ack=True)
            assert letter is not None
            assert letter.headers["x-death"][0]["reason"] == "rejected"


def assert_works(url: str) -> None:
    with Connection(url) as connection:
        Queue("orders")(connection).declare()
        connection.Producer(routing_key="orders").publish(1)
        found = Queue("orders")(connection).get(no_ack=True)
        assert found is not None
        assert found.payload == 1
