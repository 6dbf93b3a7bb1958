"""RabbitMQ for the tests: a virtual host of their own, and the conformance suite's subject for a native transport."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from kombu.exceptions import NotFound
from kombu.testing.transports import TransportConformance
from kombu.transport.native.management import Management
from tests import servers
from tests.certificates import Authority
from tests.instances import Instance, instance

USER = PASSWORD = "guest"
MANAGEMENT = f"http://{servers.HOST}:{servers.RABBITMQ_MANAGEMENT_PORT}"


def management() -> Management:
    """Of the node that all tests share."""
    return Management(MANAGEMENT, USER, PASSWORD, timeout=30.0)


def url(scheme: str = "amqp", virtual_host: str = "/", port: int = servers.RABBITMQ_PORT, query: str = "") -> str:
    address = f"{USER}:{PASSWORD}@{servers.HOST}:{port}"
    return f"{scheme}://{address}/{quote(virtual_host, safe='')}{query}"


@contextmanager
def virtual_host() -> Iterator[str]:
    """The name of a fresh one, deleted at the end with all that is in it."""
    name, api = f"kombu-{uuid4().hex}", management()
    path = f"/api/vhosts/{name}"
    api.request("PUT", path, {})
    api.request("PUT", f"/api/permissions/{name}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})
    try:
        yield name
    finally:
        with suppress(NotFound):
            api.request("DELETE", path)


class OnRabbitMQ(TransportConformance):
    """One virtual host for the class; the names in it are each test's own."""

    untold = frozenset({"delayed"})
    scheme: str
    _host: str | None = None

    @classmethod
    def setup_class(cls) -> None:
        cls._made = virtual_host()
        cls._host = cls._made.__enter__()

    @classmethod
    def teardown_class(cls) -> None:
        cls._made.__exit__(None, None, None)
        cls._host = None

    def url(self) -> str:
        return url(self.scheme, self._host or "/", query=f"?management={MANAGEMENT}")

    @property
    def dying(self) -> Mapping[str, object]:
        """The broker sees by itself that a connection is gone."""
        return {}


@dataclass(frozen=True, slots=True)
class Private:
    """A node of a test's own, with a listener for TLS and all mechanisms of SASL that we know."""

    own: Instance
    tls_port: int
    authority: Authority

    def control(self, *words: str) -> None:
        """rabbitmqctl."""
        self.own.run(
            "rabbitmq_find_programs; rabbitmq_find_data; set --; "
            'while IFS= read -r setting; do set -- "$@" "$setting"; done <"$data.environment"; '
            f'as_owner env "$@" "$bin/rabbitmqctl" -q -n "$(rabbitmq_node)" {" ".join(words)}'
        )


@contextmanager
def private_node() -> Iterator[Private]:
    """Gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kombu-certificates-"))
    folder.chmod(0o755)
    with socket.create_server((servers.HOST, 0)) as free:
        port = int(free.getsockname()[1])
    try:
        authority = Authority(folder)
        certificate, key = authority.sign("server", "broker", "DNS:localhost,IP:127.0.0.1")
        authority.sign("client", USER, f"DNS:{USER}")
        settings = [
            f"listeners.ssl.1 = {servers.HOST}:{port}",
            f"ssl_options.cacertfile = {authority.ca}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
            "ssl_cert_login_from = common_name",
            *(f"auth_mechanisms.{place} = {name}" for place, name in enumerate(("PLAIN", "AMQPLAIN", "EXTERNAL"), 1)),
        ]
        with instance("rabbitmq", {"KOMBU_RABBITMQ_CONF": "\n".join(settings)}) as own:
            yield Private(own, port, authority)
    finally:
        shutil.rmtree(folder)
