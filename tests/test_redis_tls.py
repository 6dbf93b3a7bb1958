"""TLS to a cluster, and to a master that sentinels name: certificate and name are verified everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from kombu import Connection, Queue
from kombu.exceptions import KombuError
from tests import servers
from tests.certificates import Authority
from tests.instances import _free_ports as free_ports
from tests.redis_groups import MASTER, _Group

pytestmark = pytest.mark.server("redis")


class Secured(_Group):
    """A cluster of one server, and a server with a sentinel, which all speak TLS alone; their name is the address."""

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        certificate, key = authority.sign("server", "server", f"IP:{servers.HOST}")
        self.ca = authority.ca
        self._tls = [
            f"tls-cert-file {certificate}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {self.ca}",
            "tls-auth-clients no",
            "tls-replication yes",
        ]

    def begin(self) -> None:
        plain, self.cluster_port, bus, master, self.master_port, watching, self.sentinel_port = free_ports(7)
        settings = [
            "cluster-enabled yes",
            f"cluster-port {bus}",
            f"tls-port {self.cluster_port}",
            "tls-cluster yes",
            *self._tls,
        ]
        cluster = self.node(plain, *settings)
        self.eventually(lambda: cluster.says("CLUSTER", "ADDSLOTSRANGE", "0", "16383"))
        self.eventually(lambda: b"cluster_state:ok" in (cluster.says("CLUSTER", "INFO") or b""))
        server = self.node(master, f"tls-port {self.master_port}", *self._tls)
        self.eventually(lambda: server.says("PING"))
        monitor = f"sentinel monitor {MASTER} {servers.HOST} {self.master_port} 1"
        sentinel = self.node(watching, f"tls-port {self.sentinel_port}", *self._tls, monitor, sentinel=True)
        self.eventually(lambda: sentinel.says("SENTINEL", "CKQUORUM", MASTER))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(Authority(tmp_path_factory.mktemp("tls"))) as made:
        yield made


def test_a_cluster_is_verified(secured: Secured) -> None:
    url = f"rediss+cluster://{servers.HOST}:{secured.cluster_port}"
    goes_through(Connection(f"{url}?ssl_ca_certs={secured.ca}"))
    is_refused(Connection(url))
    is_refused(Connection(f"{url}?ssl_ca_certs={secured.ca}".replace(servers.HOST, "localhost")))


@pytest.mark.parametrize("verified", [("master",), ("master", "sentinel"), ("sentinel",), ()])
def test_a_master_and_its_sentinels_are_verified(verified: Sequence[str], secured: Secured) -> None:
    known = {"ssl_ca_certs": str(secured.ca)}
    options = {
        "master_name": MASTER,
        "sentinel_kwargs": {"ssl": True, **(known if "sentinel" in verified else {})},
        **(known if "master" in verified else {}),
    }
    url = f"sentinel://{servers.HOST}:{secured.sentinel_port}/0"
    connection = Connection(url, ssl=True, transport_options=options)
    if len(verified) == 2:
        goes_through(connection)
    else:
        is_refused(connection)


def goes_through(connection: Connection) -> None:
    with connection:
        Queue("secret")(connection).declare()
        connection.Producer(routing_key="secret").publish("a")
        message = Queue("secret")(connection).get(no_ack=True)
        assert message is not None
        assert message.payload == "a"


def is_refused(connection: Connection) -> None:
    """The driver tells no more of a sentinel than that there is no connection."""
    with connection, pytest.raises(KombuError, match=r"(?i)certificate|ConnectionError.$"):
        connection.connect()
