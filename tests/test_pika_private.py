"""pika on a node of its own: TLS that verifies, a certificate instead of a password, a broker that is blocked."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from tests import servers
from tests.memory import PATIENCE
from tests.rabbitmq import PASSWORD, USER, Private, private_node

pytestmark = pytest.mark.server("rabbitmq")


@pytest.fixture(scope="module")
def node() -> Iterator[Private]:
    with private_node() as made:
        yield made


def secure(node: Private, **options: object) -> Connection:
    given = {"ca_certs": str(node.authority.ca), **options}
    return Connection(f"pika://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//", ssl=given, connect_timeout=10)


def plain(node: Private) -> Connection:
    return Connection(f"pika://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//")


def round_trip(connection: Connection, body: object = "ours") -> object:
    with connection:
        queue = Queue("", exclusive=True)(connection)
        queue.declare()
        connection.Producer().publish(body, routing_key=queue.name)
        message = queue.get()
        assert message is not None
        message.ack()
        return message.payload


def test_messages_go_over_tls_where_the_authority_is_known(node: Private) -> None:
    assert round_trip(secure(node)) == "ours"
    large = "x" * 2_000_000
    assert round_trip(secure(node), large) == large


def test_tls_is_verified_without_being_asked_to(node: Private) -> None:
    unknown = Connection(f"pika://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//?ssl=1")
    with pytest.raises(OperationalError, match=r"certificate cannot be trusted.*ca_certs"):
        unknown.connect()


def test_a_certificate_for_another_name_is_refused(node: Private) -> None:
    with pytest.raises(OperationalError, match=r"cannot be trusted for 'rabbit\.example'.*server_hostname"):
        secure(node, server_hostname="rabbit.example").connect()


def test_verifying_can_be_turned_off_in_so_many_words(node: Private) -> None:
    assert round_trip(secure(node, cert_reqs=ssl.CERT_NONE)) == "ours"


def test_tls_at_a_port_without_it_is_said(node: Private) -> None:
    with pytest.raises(OperationalError, match=r"no TLS.*port for TLS"):
        Connection(f"pika://{USER}:{PASSWORD}@{servers.HOST}:{node.own.port}//?ssl=1").connect()


def test_a_port_for_tls_without_tls_is_said(node: Private) -> None:
    with pytest.raises(OperationalError, match="want TLS"):
        Connection(f"pika://{USER}:{PASSWORD}@{servers.HOST}:{node.tls_port}//").connect()


def test_a_certificate_lets_its_owner_in(node: Private) -> None:
    folder = node.authority.folder
    external = Connection(
        f"pika://{servers.HOST}:{node.tls_port}//",
        login_method="EXTERNAL",
        ssl={
            "ca_certs": str(node.authority.ca),
            "certfile": str(folder / "client.pem"),
            "keyfile": str(folder / "client.key"),
        },
    )
    assert round_trip(external) == "ours"


def test_a_mechanism_that_the_broker_does_not_offer_is_named(node: Private) -> None:
    with pytest.raises(OperationalError, match="EXTERNAL"):
        Connection(f"pika://{servers.HOST}:{node.own.port}//", login_method="EXTERNAL").connect()


def test_a_broker_that_blocks_publishers_is_seen_and_reported_in_time(node: Private) -> None:
    """What it has read before is uncertain; what it would not read is not sent at all, and goes out when it may."""
    with plain(node) as publishing:
        queue = Queue("blocked", exclusive=True)(publishing)
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
        with publishing.Consumer(queue, on_message=lambda message: bodies.append(message.payload)):
            while "after" not in bodies:
                publishing.drain_events(timeout=PATIENCE)
    assert bodies == ["before", "uncertain", "after"]
