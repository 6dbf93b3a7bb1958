"""``couchdbs://`` verifies the server: its certificate, who signed that, and the name in it; and shows its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from kombu import Connection, Queue
from kombu.exceptions import InvalidURL, OperationalError
from tests import couchdb, servers
from tests.certificates import Authority
from tests.tls import tls_before

pytestmark = pytest.mark.server("couchdb")


@pytest.fixture
def name() -> Iterator[str]:
    database = f"kombu-{uuid4().hex}"
    yield database
    couchdb.drop(database)


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> tuple[Path, Path]:
    """Of a server that is called ``localhost``, and its key."""
    return authority.sign("server", "couchdb", "DNS:localhost")


@pytest.fixture(scope="module")
def port(certificate: tuple[Path, Path]) -> Iterator[int]:
    with tls_before(servers.COUCHDB_PORT, *certificate) as port:
        yield port


def assert_works(url: str, **ssl: object) -> None:
    """Those who wait are told of changes through TLS, too."""
    with Connection(url, ssl=ssl) as one, Connection(url, ssl=ssl) as other:
        orders, received = Queue("orders"), list[object]()
        orders(one).declare()
        with one.Consumer(orders, on_message=lambda each: (received.append(each.payload), each.ack())):
            with pytest.raises(TimeoutError):
                one.drain_events(timeout=0.2)
            other.Producer(routing_key="orders").publish({"id": 1})
            one.drain_events(timeout=10)
        assert received == [{"id": 1}]


def test_whom_the_authority_vouches_for_is_talked_to(name: str, port: int, authority: Authority) -> None:
    assert_works(f"couchdbs://localhost:{port}/{name}", ca_certs=str(authority.ca))
    assert_works(f"couchdb://localhost:{port}/{name}", ca_certs=str(authority.ca))


def test_an_authority_that_nobody_knows_is_not_believed(name: str, port: int, tmp_path: Path) -> None:
    for trusted in (False, True, {"ca_certs": str(Authority(tmp_path).ca)}):
        with pytest.raises(OperationalError, match="certificate verify failed"):
            Connection(f"couchdbs://clerk:secret@localhost:{port}/{name}", ssl=trusted).connect()


def test_who_says_so_believes_anybody(name: str, port: int) -> None:
    assert_works(f"couchdbs://{servers.HOST}:{port}/{name}", cert_reqs="none")
    with pytest.raises(InvalidURL, match="verify"):
        Connection(f"couchdbs://localhost:{port}/{name}", ssl={"verify": False}).connect()


def test_another_name_is_not_believed(name: str, port: int, authority: Authority) -> None:
    with pytest.raises(OperationalError, match="IP address mismatch"):
        Connection(f"couchdbs://{servers.HOST}:{port}/{name}", ssl={"ca_certs": str(authority.ca)}).connect()


def test_a_certificate_of_ones_own_is_shown_where_it_is_wanted(
    name: str, certificate: tuple[Path, Path], authority: Authority
) -> None:
    own, key = authority.sign("client", "shop", "DNS:shop")
    with tls_before(servers.COUCHDB_PORT, *certificate, clients=authority.ca) as port:
        there, trusted = f"couchdbs://localhost:{port}/{name}", str(authority.ca)
        assert_works(there, ca_certs=trusted, certfile=str(own), keyfile=str(key))
        with pytest.raises(OperationalError):
            Connection(there, ssl={"ca_certs": trusted}).connect()
    with pytest.raises(InvalidURL, match="keyfile"):
        Connection(there, ssl={"certfile": str(own), "keyfile": "/nowhere.key"}).connect()
