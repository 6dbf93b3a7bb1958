"""``sqs+https://`` verifies the server: its certificate, who signed that, and the name in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("boto3")

from kombu import Connection, Queue
from kombu.exceptions import ConnectionError
from tests import servers
from tests.aws import Region
from tests.certificates import Authority
from tests.tls import tls_before

pytestmark = pytest.mark.server("sqs")


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """Of a server that is called ``localhost``."""
    with tls_before(servers.SQS_PORT, *authority.sign("server", "sqs", "DNS:localhost")) as port:
        yield port


def url(region: Region, port: int, host: str = "localhost") -> str:
    """Of the same region, with TLS."""
    return region.url().replace(f"http://key:secret@{servers.HOST}:{region.port}", f"https://key:secret@{host}:{port}")


def test_whom_the_authority_vouches_for_is_talked_to(region: Region, port: int, authority: Authority) -> None:
    there = url(region, port)
    assert there.startswith(f"sqs+https://key:secret@localhost:{port}/")
    with Connection(there, ssl={"ca_certs": str(authority.ca)}) as connection:
        orders = Queue("orders")(connection)
        orders.declare()
        connection.Producer().publish({"id": 1}, routing_key="orders")
        got = orders.get()
        assert got is not None
        assert got.payload == {"id": 1}
        got.ack()


def test_the_short_form_has_tls_as_well(region: Region, port: int, authority: Authority) -> None:
    with Connection(url(region, port).replace("sqs+https:", "sqs:"), ssl={"ca_certs": str(authority.ca)}) as connection:
        Queue("orders")(connection).declare()


def test_an_authority_that_nobody_knows_is_not_believed(region: Region, port: int, tmp_path: Path) -> None:
    for trusted in (False, True, {"ca_certs": str(Authority(tmp_path).ca)}):
        with pytest.raises(ConnectionError, match=r"TLS does not verify: .*certificate verify failed") as raised:
            Connection(url(region, port), ssl=trusted).connect()
        assert "secret" not in str(raised.value)


def test_another_name_is_not_believed(region: Region, port: int, authority: Authority) -> None:
    with pytest.raises(ConnectionError, match=r"TLS does not verify: .*doesn't match 'localhost'"):
        Connection(url(region, port, servers.HOST), ssl={"ca_certs": str(authority.ca)}).connect()


def test_a_server_without_tls_is_not_talked_to(region: Region) -> None:
    with pytest.raises(ConnectionError, match="TLS"):
        Connection(url(region, region.port)).connect()
