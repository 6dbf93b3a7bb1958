"""URLs and options of SQS: what they mean, and what is refused, with a word on what to do."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("boto3")

from kombu import Connection
from kombu.exceptions import InvalidURL
from kombu.transport.sqs.options import Settings, read_settings


def settings(url: str, **arguments: Any) -> Settings:
    return read_settings(Connection(url, **arguments).transport.address)[0]


def test_key_and_secret_stand_in_the_url() -> None:
    found = settings("sqs://AKIA:s%2Fe%2Bcret@")
    assert (found.key, found.secret, found.endpoint) == ("AKIA", "s/e+cret", None)


@pytest.mark.parametrize("url", ["sqs://", "SQS://", "sqs://localhost"])
def test_without_credentials_boto3_looks_for_them(url: str) -> None:
    assert settings(url) == Settings()


def test_a_compatible_server_has_an_address() -> None:
    assert settings("sqs+http://k:s@127.0.0.1:9324").endpoint == "http://127.0.0.1:9324"
    assert settings("sqs+https://k:s@queues.example").endpoint == "https://queues.example"
    assert settings("sqs://k:s@queues.example:9324").endpoint == "https://queues.example:9324"
    assert settings("sqs://k:s@queues.example:9324?is_secure=false").endpoint == "http://queues.example:9324"
    assert settings("sqs+http://k:s@127.0.0.1:9324").secret == "s"


def test_options_stand_in_the_query_or_beside_the_url() -> None:
    for found in (
        settings("sqs://k:s@?region=eu-west-1&queue_name_prefix=shop-&supports_fanout=1"),
        settings("sqs+http://k:s@h?region=eu-west-1&queue_name_prefix=shop-&supports_fanout=1"),
        settings(
            "sqs://k:s@",
            transport_options={"region": "eu-west-1", "queue_name_prefix": "shop-", "supports_fanout": True},
        ),
    ):
        assert (found.region, found.queue_name_prefix, found.supports_fanout) == ("eu-west-1", "shop-", True)


def test_a_lease_may_be_called_visibility_timeout() -> None:
    address = Connection("sqs://?visibility_timeout=1800&prefetch=10").transport.address
    _, options = read_settings(address)
    assert (options.lease, options.prefetch) == (1800.0, 10)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqs://key@", "secret"),
        ("sqs://k:s@?regoin=eu", "regoin"),
        ("sqs://k:s@?visibility_timeout=43201", "43200"),
        ("sqs://k:s@?visibility_timeout=30&lease=60", "same"),
        ("sqs://k:s@?wait_time_seconds=21", "20"),
        ("sqs://k:s@?wait_time_seconds=0", "1 to 20"),
        ("sqs://k:s@?wait_time_seconds=1.5", "whole"),
        ("sqs://k:s@?queue_name_prefix=a.b", "letters"),
        ("sqs://k:s@?max_message_size=2000000", "1048576"),
        ("sqs://k:s@?supports_fanout=perhaps", "true or false"),
        ("sqs://k:s@/vhost", "queue_name_prefix"),
        ("sqs+ftp://k:s@host", "http"),
        ("sqs+http://k:s@", "host"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_the_secret(url: str, says: str) -> None:
    with pytest.raises(InvalidURL, match=says) as caught:
        settings(url)
    assert "k:s" not in str(caught.value)


@pytest.mark.parametrize(
    ("queues", "says"),
    [
        ({}, "no queue"),
        ({"orders": {}}, "needs a url"),
        ({"orders": {"url": "https://h/1/orders", "password": "x"}}, "password"),
        ({"orders": {"url": "https://h/1/orders.fifo"}}, "fifo"),
        ("orders", "dictionary"),
    ],
)
def test_predefined_queues_are_looked_at(queues: object, says: str) -> None:
    with pytest.raises(InvalidURL, match=says):
        settings("sqs://", transport_options={"predefined_queues": queues})


def test_nothing_shows_the_secret() -> None:
    connection = Connection("sqs+http://AKIA:hidden@127.0.0.1:9324?region=eu-west-1")
    shown = (repr(connection), connection.as_uri(), str(connection.info()), repr(settings("sqs://AKIA:hidden@")))
    assert not any("hidden" in text for text in shown)
