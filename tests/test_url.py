"""Broker URLs mean what RabbitMQ's URI specification says, and never give a password away."""

from __future__ import annotations

import re

import pytest

from kombu.exceptions import InvalidURL
from kombu.utils import uuid
from kombu.utils.url import URLParts, as_url, maybe_sanitize_url, parse_url, sanitize_url, url_to_parts


def test_a_full_url_gives_every_part() -> None:
    assert parse_url("amqp://user:pw@host:5673/foo?ssl=1&heartbeat=10") == {
        "transport": "amqp",
        "hostname": "host",
        "port": 5673,
        "userid": "user",
        "password": "pw",
        "virtual_host": "foo",
        "ssl": "1",
        "heartbeat": "10",
    }


@pytest.mark.parametrize(
    ("url", "virtual_host"),
    [
        ("amqp://h", None),
        ("amqp://h/", None),
        ("amqp://h//", "/"),
        ("amqp://h/%2F", "/"),
        ("amqp://h/foo", "foo"),
        ("amqp://h//foo", "/foo"),
        ("amqp://h/a/b", "a/b"),
        ("redis://h:6379/3", "3"),
    ],
)
def test_the_virtual_host_follows_rabbitmqs_rules(url: str, virtual_host: str | None) -> None:
    assert url_to_parts(url).virtual_host == virtual_host


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("amqp://", URLParts("amqp")),
        ("localhost", URLParts("amqp", "localhost")),
        ("host:5673", URLParts("amqp", "host", 5673)),
        ("user:pw@host", URLParts("amqp", "host", None, "user", "pw")),
        ("user:pw@host:5673", URLParts("amqp", "host", 5673, "user", "pw")),
        ("AMQPS://host", URLParts("amqps", "host")),
        ("memory://name", URLParts("memory", "name")),
        ("django://my_alias", URLParts("django", "my_alias")),
        ("sqs://key:secret@", URLParts("sqs", None, None, "key", "secret")),
        ("redis://:pw@host", URLParts("redis", "host", None, None, "pw")),
        ("zookeeper://h1,h2/vhost", URLParts("zookeeper", "h1,h2", virtual_host="vhost")),
        ("djkombu.transport.DatabaseTransport://", URLParts("djkombu.transport.DatabaseTransport")),
    ],
)
def test_a_part_that_is_left_out_is_left_to_the_transport(url: str, parts: URLParts) -> None:
    assert url_to_parts(url) == parts


@pytest.mark.parametrize(
    ("url", "hostname", "port"),
    [
        ("amqp://[::1]:5673//", "::1", 5673),
        ("amqp://u:p@[fe80::1%25eth0]", "fe80::1%eth0", None),
        ("[::1]", "::1", None),
    ],
)
def test_an_ipv6_host_stands_in_brackets(url: str, hostname: str, port: int | None) -> None:
    parts = url_to_parts(url)
    assert (parts.hostname, parts.port) == (hostname, port)


def test_percent_escapes_are_undone_once() -> None:
    parts = url_to_parts("amqp://us%40er:p%2Fw%3A%2525@ho%73t/v%20h?x=%26")
    assert parts == URLParts("amqp", "host", None, "us@er", "p/w:%25", "v h", {"x": "&"})


def test_a_url_behind_a_plus_is_kept_whole() -> None:
    url = "sqla+postgresql+psycopg://u:p%40w@h:5432/db?sslmode=require"
    assert url_to_parts(url) == URLParts("sqla", "postgresql+psycopg://u:p%40w@h:5432/db?sslmode=require")
    assert url_to_parts("sqla+sqlite:///x.db") == URLParts("sqla", "sqlite:///x.db")


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://u:p%40w@h1:27017,h2:27018/db?replicaSet=rs&lease=5",
        "mongodb+srv://u:p%40w@cluster.example.org/db?replicaSet=rs&lease=5",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/db?replicaSet=rs&lease=5",
    ],
)
def test_a_url_that_its_driver_reads_is_kept_whole_and_its_query_is_read(url: str) -> None:
    assert url_to_parts(url) == URLParts("mongodb", url, query={"replicaSet": "rs", "lease": "5"})
    assert parse_url(url)["hostname"] == url
    assert as_url("mongodb", url) == url
    assert "p%40w" not in as_url("mongodb", url, sanitize=True)


def test_a_unix_socket_is_a_hostname_that_starts_with_a_slash() -> None:
    options = parse_url("redis+socket://:pw@/run/redis.sock?virtual_host=3")
    assert options["transport"] == "redis"
    assert options["hostname"] == "/run/redis.sock"
    assert options["virtual_host"] == "3"
    assert options["password"] == "pw"


def test_a_port_in_the_query_is_a_number() -> None:
    assert parse_url("amqp://h?port=77")["port"] == 77


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("amqp://user:secret@host:notaport/", "port"),
        ("amqp://user:secret@host:0/", "port"),
        ("amqp://user:secret@host:65536/", "port"),
        ("amqp://user:secret@host:٣/", "port"),
        ("amqp://h?port=x&password=secret", "port"),
        ("amqp://user:se/cret@host", "port"),
        ("amqp://user:se?cret@host", "port"),
        ("amqp://user:secret", "port"),
        ("amqp://user:secret/vhost", "port"),
        ("amqp://user:secret@host\n", "control characters"),
        ("amqp://user:secret@ho st/", "space"),
        ("amqp://user:secret@ho%00st/", "control"),
        ("amqp://user:secret@::1/", "brackets"),
        ("amqp://user:secret@[::1/", "IPv6"),
        ("amqp://user:secret@[host]/", "IPv6"),
        ("amqp://user:secret@[::1]5672/", "IPv6"),
        ("user:secret://x@host", "scheme"),
        ("://user:secret@host", "scheme"),
        ("amqp://user:secret@host?transport=redis", "transport"),
        ("redis+socket://user:secret@host/path", "socket"),
        ("redis+socket://user:secret@", "socket"),
    ],
)
def test_a_bad_url_is_refused_with_the_reason_and_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(InvalidURL, match=reason) as caught:
        parse_url(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_what_is_not_text_is_not_a_url() -> None:
    with pytest.raises(InvalidURL, match="NoneType"):
        parse_url(None)  # type: ignore[arg-type]


def test_the_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(url_to_parts("amqp://user:secret@host"))


@pytest.mark.parametrize(
    "url",
    [
        "amqp://",
        "amqp://host",
        "amqp://user:p%2Fw%40@host:5673//",
        "amqp://user@host//foo",
        "amqp://u:p@[::1]:5672/v%20h?heartbeat=10&x=%26",
        "sqla+sqlite:///x.db",
        "redis+socket://:pw@/run/redis.sock?virtual_host=3",
        "sqs://key:secret@",
        "zookeeper://h1,h2/vhost",
    ],
)
def test_a_url_survives_being_taken_apart_and_put_together(url: str) -> None:
    p = url_to_parts(url)
    assert as_url(p.scheme, p.hostname, p.port, p.userid, p.password, p.virtual_host, p.query) == url


def test_a_url_is_put_together_without_its_password() -> None:
    assert as_url("amqp", "h", 5672, "u", "secret", "/", sanitize=True) == "amqp://u:**@h:5672//"
    assert as_url("sqla", "mysql://u:secret@h/db", sanitize=True) == "sqla+mysql://u:**@h/db"
    assert as_url("x", "h", query={"ssl_password": "secret"}, sanitize=True, mask=r"\1") == (r"x://h?ssl_password=\1")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:secret@host:5672//", "amqp://user:**@host:5672//"),
        ("user:secret@host", "user:**@host"),
        ("redis://:secret@host", "redis://:**@host"),
        ("amqp://host:5672/v", "amqp://host:5672/v"),
        ("amqp://user@host", "amqp://user@host"),
        ("amqp://user:se/cr@e?t@host", "amqp://user:**@host"),
        ("sqla+postgresql://u:secret@h/db", "sqla+postgresql://u:**@h/db"),
        ("redis://h?ssl_password=secret&x=1", "redis://h?ssl_password=**&x=1"),
        ("amqp://a:secret@h1;amqp://b:secret@h2", "amqp://a:**@h1;amqp://b:**@h2"),
        ("amqp://a:secret@h1;b:secret@h2", "amqp://a:**@h2"),
        ("mongodb://u:secret@h1:1,h2:2/db", "mongodb://u:**@h1:1,h2:2/db"),
        ("sqla+postgresql://h/db?x=1&password=secret", "sqla+postgresql://h/db?x=1&password=**"),
        ("sqla+postgresql://h/db?sslpassword=secret&x=1", "sqla+postgresql://h/db?sslpassword=**&x=1"),
        ("sqla+postgresql://h/db?scram_client_key=secret", "sqla+postgresql://h/db?scram_client_key=**"),
        ("sqla+mysql+pymysql://h/db?passwd=secret", "sqla+mysql+pymysql://h/db?passwd=**"),
        ("x://h?PWD=secret&passphrase=secret&token=secret", "x://h?PWD=**&passphrase=**&token=**"),
        ("x://h/db?password=sec;ret", "x://h/db?password=**"),
        ("x://u@h:1/db?password=sec@ret&x=1", "x://u@h:1/db?password=**&x=1"),
    ],
)
def test_a_sanitized_url_shows_everything_but_the_password(url: str, shown: str) -> None:
    assert sanitize_url(url) == shown


def test_only_what_looks_like_a_url_is_sanitized() -> None:
    assert maybe_sanitize_url("amqp://u:p@h", mask="xx") == "amqp://u:xx@h"
    assert maybe_sanitize_url("u:p@h") == "u:p@h"
    assert maybe_sanitize_url(None) is None


def test_a_uuid_is_random_and_of_version_four() -> None:
    texts = {uuid() for _ in range(1000)}
    assert len(texts) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", t) for t in texts)
