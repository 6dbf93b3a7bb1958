"""RabbitMQ for the tests: a virtual host of their own, and the conformance suite's subject for a native transport."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import quote
from uuid import uuid4

from kombu.exceptions import NotFound
from kombu.testing.transports import TransportConformance
from kombu.transport.native.management import Management
from tests import servers

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
