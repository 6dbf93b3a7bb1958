"""Connecting over AMQP: what is wrong is said, what to do about it, and within ``connect_timeout``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kombu import Connection, Queue
from kombu.exceptions import AccessRefused, InvalidURL, OperationalError
from kombu.transport.amqp import SecureTransport, Transport
from kombu.transport.amqp.connection import AMQPConnection
from tests import servers
from tests.background import LONG
from tests.rabbitmq import management, url, virtual_host

GREETING = b"AMQP\x00\x00\x09\x01"


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of what answers a client that way, and hangs up."""
    with socket.create_server((servers.HOST, 0)) as server:

        def serve() -> None:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.close()
            thread.join(LONG)


def connect(port: int, timeout: float = 0.5) -> None:
    Connection(f"amqp://guest:guest@{servers.HOST}:{port}//", connect_timeout=timeout).connect()


@pytest.mark.server("rabbitmq")
def test_a_wrong_password_is_said_and_not_shown() -> None:
    wrong = Connection(f"amqp://guest:s3cret@{servers.HOST}:{servers.RABBITMQ_PORT}//")
    with pytest.raises(AccessRefused, match=r"user 'guest'.*wrong user or password") as refusal:
        wrong.connect()
    assert "s3cret" not in str(refusal.value)


@pytest.mark.server("rabbitmq")
def test_a_virtual_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(OperationalError, match=r"no virtual host 'nowhere'.*add_vhost"):
        Connection(url(virtual_host="nowhere")).connect()


@pytest.mark.server("rabbitmq")
def test_a_virtual_host_that_the_user_has_no_right_to_is_named() -> None:
    with virtual_host() as name:
        management().request("DELETE", f"/api/permissions/{name}/guest")
        with pytest.raises(AccessRefused, match=rf"no right to the virtual host '{name}'.*set_permissions"):
            Connection(url(virtual_host=name)).connect()


@pytest.mark.server("rabbitmq")
def test_a_right_that_is_missing_is_named_when_it_is_needed() -> None:
    with virtual_host() as name:
        rights = {"configure": "^mine", "write": ".*", "read": ".*"}
        management().request("PUT", f"/api/permissions/{name}/guest", rights)
        with Connection(url(virtual_host=name)) as connection:
            with pytest.raises(AccessRefused, match="yours"):
                Queue("yours")(connection).declare()
            Queue("mine")(connection).declare()


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(OperationalError, match="nowhere\\.invalid"):
        Connection("amqp://nowhere.invalid//").connect()


def test_a_port_where_nobody_listens_is_named() -> None:
    with socket.create_server((servers.HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(OperationalError, match=rf"{servers.HOST}:{port}: Connection refused.*port"):
        connect(port)


def test_a_broker_that_never_greets_is_given_up_in_time() -> None:
    given_up = threading.Event()
    with listening(lambda _: given_up.wait(LONG)) as port:
        with pytest.raises(OperationalError, match="did not greet within connect_timeout"):
            connect(port, 0.2)
        given_up.set()


def test_a_broker_that_greets_one_byte_at_a_time_is_given_up_in_time() -> None:
    given_up = threading.Event()

    def drip(client: socket.socket) -> None:
        client.sendall(b"\x01\x00\x00\x00\x01\x00\x00")
        while not given_up.wait(0.02):
            try:
                client.sendall(b"\x00")
            except OSError:
                return

    with listening(drip) as port:
        with pytest.raises(OperationalError, match="did not greet within connect_timeout"):
            connect(port, 0.3)
        given_up.set()


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"AMQP\x00\x01\x00\x00",
        b"220 mail ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
    ids=["HTTP", "another version", "SMTP", "TLS"],
)
def test_what_does_not_speak_amqp_is_told_from_a_broker(words: bytes) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(len(GREETING))
        client.sendall(words)

    with listening(answer) as port, pytest.raises(OperationalError, match="port for AMQP"):
        connect(port)


@pytest.mark.parametrize(
    "option",
    [
        "prefetch=many",
        "prefetch=70000",
        "settle_delay=-1",
        "confirm_timeout=0",
        "confirm_publish=maybe",
        "x=1",
        "frame_max=7",
        "read_timeout=0",
    ],
)
def test_options_that_cannot_be_are_refused_by_name(option: str) -> None:
    with pytest.raises(InvalidURL, match=option.partition("=")[0].replace("read", "operation")):
        Connection(f"amqp://localhost//?{option}").connect()


@pytest.mark.server("rabbitmq")
def test_options_that_programs_know_from_py_amqp_are_kept() -> None:
    options = {
        "read_timeout": 7,
        "write_timeout": 9.0,
        "frame_max": 4096,
        "socket_settings": {socket.TCP_USER_TIMEOUT: 5000},
        "client_properties": {"connection_name": "billing"},
    }
    with Connection(url(), transport_options=options) as connection:
        inner = connection.connection
        assert isinstance(inner, AMQPConnection)
        assert (inner.options.operation_timeout, inner.link.frame_max) == (7.0, 4096)
        queue = Queue("", exclusive=True)(connection)
        queue.declare()
        body = bytes(range(256)) * 64
        connection.Producer().publish(body, routing_key=queue.name)
        message = queue.get(no_ack=True)
        assert message is not None
        assert message.body == body
    with pytest.raises(InvalidURL, match="socket_settings"):
        Connection(url(), transport_options={"socket_settings": 7}).connect()


def test_the_schemes_have_their_ports() -> None:
    assert (Transport.default_port, SecureTransport.default_port) == (5672, 5671)
    for scheme in ("amqp", "pyamqp", "amqplib"):
        assert Connection(f"{scheme}://").get_transport_cls() is Transport
    assert Connection("amqps://").get_transport_cls() is SecureTransport
