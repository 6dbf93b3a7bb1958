"""The AMQP transport on a node of its own: TLS that verifies, the mechanisms of SASL, and a broker that is blocked."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from kombu import Connection, Queue
from kombu.exceptions import AccessRefused, InvalidURL, OperationalError
from tests import servers
from tests.background import eventually
from tests.rabbitmq import PASSWORD, USER, Private, private_node

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture(scope="module")
def node() -> Iterator[Private]:
    with private_node() as made:
        yield made


def connection(node: Private, host: str = servers.HOST, **options: object) -> Connection:
    ssl_options = {"ca_certs": str(node.authority.ca), **options}
    return Connection(f"amqps://{USER}:{PASSWORD}@{host}:{node.tls_port}//", ssl=ssl_options, connect_timeout=10)


def round_trip(connection: Connection) -> object:
    with connection:
        queue = Queue("", exclusive=True)(connection)
        queue.declare()
        connection.Producer().publish({"id": 1}, routing_key=queue.name)
        message = queue.get()
        assert message is not None
        message.ack()
        return message.payload


def test_messages_go_over_tls_where_the_authority_is_known(node: Private) -> None:
    assert round_trip(connection(node)) == {"id": 1}


def test_a_large_message_goes_over_tls_both_ways(node: Private) -> None:
    body = bytes(range(256)) * 8192
    with connection(node) as secure:
        queue = Queue("", exclusive=True)(secure)
        queue.declare()
        secure.Producer().publish_many([body] * 3, routing_key=queue.name)
        received: list[bytes] = []
        with secure.Consumer(queue, on_message=lambda message: received.append(message.body)):
            while len(received) < 3:
                secure.drain_events(timeout=10)
    assert received == [body] * 3


def test_tls_is_verified_without_being_asked_to(node: Private) -> None:
    unknown = Connection(f"amqps://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//")
    with pytest.raises(OperationalError, match=r"certificate cannot be trusted.*ca_certs"):
        unknown.connect()


def test_a_certificate_for_another_name_is_refused(node: Private) -> None:
    with pytest.raises(OperationalError, match=r"cannot be trusted for 'rabbit\.example'.*server_hostname"):
        connection(node, server_hostname="rabbit.example").connect()


def test_the_name_that_a_certificate_is_for_may_be_told(node: Private) -> None:
    assert round_trip(connection(node, server_hostname="localhost")) == {"id": 1}


def test_verifying_can_be_turned_off_in_so_many_words(node: Private) -> None:
    careless = Connection(
        f"amqps://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//", ssl={"cert_reqs": ssl.CERT_NONE}
    )
    assert round_trip(careless) == {"id": 1}


def test_a_context_of_the_callers_own_is_taken(node: Private) -> None:
    own = ssl.create_default_context(cafile=node.authority.ca)
    assert round_trip(connection(node, context=own)) == {"id": 1}


@pytest.mark.parametrize("option", [{"ca_cert": "x"}, {"ca_certs": "/nowhere/ca.pem"}, {"cert_reqs": "perhaps"}])
def test_options_of_tls_that_cannot_be_are_named(node: Private, option: dict[str, object]) -> None:
    with pytest.raises(InvalidURL, match=next(iter(option))):
        connection(node, **option).connect()


def test_tls_at_a_port_without_it_is_said(node: Private) -> None:
    with pytest.raises(OperationalError, match=r"no TLS.*port for TLS"):
        Connection(f"amqps://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//").connect()


def test_a_port_for_tls_without_tls_is_said(node: Private) -> None:
    with pytest.raises(OperationalError, match="amqps://"):
        Connection(f"amqp://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//").connect()


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN", "plain"])
def test_a_user_is_let_in_by_every_mechanism_with_a_password(node: Private, mechanism: str) -> None:
    known = Connection(f"amqp://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//", login_method=mechanism)
    assert round_trip(known) == {"id": 1}


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_a_wrong_password_is_refused_by_every_mechanism_and_never_shown(node: Private, mechanism: str) -> None:
    wrong = Connection(f"amqp://{USER}:s3cret@{servers.HOST}:{node.own.port}//", login_method=mechanism)
    with pytest.raises(AccessRefused, match=r"'guest'.*wrong user or password") as refusal:
        wrong.connect()
    assert "s3cret" not in str(refusal.value)


def test_a_certificate_lets_its_owner_in(node: Private) -> None:
    folder = node.authority.folder
    external = Connection(
        f"amqps://{servers.HOST}:{node.tls_port}//",
        login_method="EXTERNAL",
        ssl={
            "ca_certs": str(node.authority.ca),
            "certfile": str(folder / "client.pem"),
            "keyfile": str(folder / "client.key"),
        },
    )
    assert round_trip(external) == {"id": 1}


def test_a_mechanism_that_the_broker_does_not_offer_is_named(node: Private) -> None:
    """EXTERNAL is for connections with a certificate only."""
    with pytest.raises(OperationalError, match="EXTERNAL"):
        Connection(f"amqp://{servers.HOST}:{node.own.port}//", login_method="EXTERNAL").connect()


def test_a_mechanism_that_does_not_exist_is_named(node: Private) -> None:
    with pytest.raises(InvalidURL, match=r"KERBEROS.*PLAIN, AMQPLAIN, EXTERNAL"):
        Connection(f"amqp://{servers.HOST}:{node.own.port}//", login_method="KERBEROS").connect()


def test_a_broker_that_blocks_publishers_is_seen_and_reported_in_time(node: Private) -> None:
    """What it has read before is uncertain; what it would not read is not sent at all, and goes out when it may."""
    with Connection(f"amqp://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//") as publishing:
        queue = Queue("", exclusive=True)(publishing)
        queue.declare()
        producer = publishing.Producer(routing_key=queue.name)
        producer.publish("before")
        node.control("set_vm_memory_high_watermark", "0.00000001")
        try:
            with pytest.raises(TimeoutError, match=r"may be stored or not.*blocked publishers: low on memory"):
                producer.publish("uncertain", timeout=0.5)
            with pytest.raises(OperationalError, match=r"nothing was published.*blocked publishers: low on memory"):
                producer.publish("late", timeout=0.2)
        finally:
            node.control("set_vm_memory_high_watermark", "0.4")
        producer.publish("after", timeout=30)
        bodies: list[object] = []
        eventually(lambda: _get(queue, bodies) == "after")
        assert bodies == ["before", "uncertain", "after"]


def _get(queue: Queue, bodies: list[object]) -> object:
    message = queue.get(no_ack=True)
    if message is None:
        return None
    bodies.append(message.payload)
    return message.payload


def test_a_delayed_message_survives_a_restart(node: Private) -> None:
    with Connection(f"amqp://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//") as publishing:
        Queue("later")(publishing).declare()
        publishing.Producer().publish("late", routing_key="later", delay=1.0)
    node.own.end("fast")
    node.own.start()
    with Connection(f"amqp://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//") as consuming:
        received: list[object] = []
        with consuming.Consumer(Queue("later"), on_message=lambda message: received.append(message.payload)):
            consuming.drain_events(timeout=30)
    assert received == ["late"]
