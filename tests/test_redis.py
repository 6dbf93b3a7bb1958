"""What Redis alone needs: its keys, its ways in, and its refusals."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    ConnectionLimitExceeded,
    InvalidURL,
    KombuError,
    OperationalError,
    VersionMismatch,
)
from kombu.testing.case import LEASE, in_threads, message
from kombu.transport.redis import RedisStore
from kombu.transport.redis.checks import check
from kombu.transport.redis.errors import explained
from kombu.transport.redis.keys import Keys
from kombu.transport.virtual.store import Done, Envelope, QueueFull, QueueSpec, TopologyMoved
from tests import redises, servers
from tests.proxy import Proxy
from tests.redis_groups import Alone

pytestmark = pytest.mark.server("redis")

QUEUE = "orders"


@pytest.fixture
def url(prefix: str) -> str:
    return f"redis://{redises.ADDRESS}/0?global_keyprefix={prefix}"


@pytest.fixture
def store(prefix: str) -> Iterator[RedisStore]:
    made = redises.store(f"redis://{redises.ADDRESS}/0", prefix)
    made.open()
    made.declare(QueueSpec(name=QUEUE))
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """With a password, TLS and a Unix socket."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    with Alone(folder) as made:
        yield made


def test_when_all_is_settled_and_deleted_no_key_is_left(url: str, prefix: str) -> None:
    with Connection(url) as connection:
        shop = Exchange("shop", "topic")
        dead = Queue("dead", Exchange("dead", "fanout"))
        orders = Queue(
            QUEUE, shop, "order.#", max_priority=3, max_length=100, max_length_bytes=10000,
            queue_arguments={"x-dead-letter-exchange": "dead", "x-message-ttl": 60000},
        )  # fmt: skip
        for queue in (dead, orders):
            queue(connection).declare()
        producer = connection.Producer(exchange=shop, routing_key="order.made")
        for number in range(8):
            producer.publish(number, priority=number % 4, delay=60 if number == 7 else 0)
        with connection.Consumer([orders, dead], on_message=refuse_some), pytest.raises(TimeoutError):
            while True:
                connection.drain_events(timeout=0.3)
        for queue in (dead, orders):
            queue(connection).delete()
        for exchange in (shop, Exchange("dead")):
            exchange(connection).delete()
    assert lasting(prefix) == []


def test_of_a_queue_that_is_empty_only_what_it_is_stays(store: RedisStore, prefix: str) -> None:
    store.put([(QUEUE, message(str(number), ttl=60.0 if number % 2 else None)) for number in range(10)])
    claimed = store.claim({QUEUE: 10}, LEASE)
    assert all(store.settle([Done(delivery.lease) for delivery in claimed]))
    kept = {key.rpartition(":")[2] for key in redises.keys(prefix)}
    assert kept <= {"info", "wake", "document", "mortal"}


def test_every_other_key_ends_by_itself(store: RedisStore, prefix: str) -> None:
    store.put([(QUEUE, message("a"))])
    with redises.client() as server:
        marks = [key for key in server.scan_iter(match=f"{prefix}*") if b":sent:" in key]
        assert [0 < server.pttl(mark) <= 120_000 for mark in marks] == [True]


def test_names_of_queues_cannot_leave_their_braces() -> None:
    keys = Keys("{x")
    names = ["a", "a}b", "{a", "}", "%7D", "größe:wait:0", ""]
    bases = [keys.queue(name) for name in names]
    assert len(set(bases)) == len(names)
    assert [keys.name(base) for base in bases] == names
    assert all(base.count(b"}") == 1 for base in bases)


def test_databases_and_prefixes_keep_their_queues_apart(url: str, prefix: str) -> None:
    for other in (f"redis://{redises.ADDRESS}/1?global_keyprefix={prefix}", url.replace(prefix, f"{prefix}2-")):
        with Connection(url) as here, Connection(other) as there:
            Queue(QUEUE)(here).declare()
            Queue(QUEUE)(there).declare()
            here.Producer(routing_key=QUEUE).publish("a")
            assert Queue(QUEUE)(there).get() is None
            Queue(QUEUE)(here).delete()
            Queue(QUEUE)(there).delete()
    with redises.client() as server:
        server.select(1)
        server.unlink(*server.scan_iter(match=f"{prefix}*"))


def test_a_script_that_the_server_has_forgotten_is_told_again(alone: Alone) -> None:
    with Connection(alone.url()) as connection:
        Queue("forgotten")(connection).declare()
        for number in range(3):
            assert alone.server.says("SCRIPT", "FLUSH")
            connection.Producer(routing_key="forgotten").publish(number)
        assert [Queue("forgotten")(connection).get().payload for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("bodies", ["a", "ab"])
def test_a_batch_whose_answer_is_lost_is_stored_once(bodies: str, prefix: str) -> None:
    with Proxy(servers.REDIS_PORT) as proxy:
        store = redises.store(f"redis://{servers.HOST}:{proxy.port}/0", prefix)
        store.open()
        store.declare(QueueSpec(name=QUEUE))
        proxy.cut_at(b":sent:", "after")
        store.put([(QUEUE, message(body)) for body in bodies], store.topology().version)
        assert proxy.struck.is_set()
        assert [each.body.decode() for each in store.claim({QUEUE: 9}, LEASE)] == list(bodies)
        store.close()


def test_a_single_message_that_was_routed_by_an_old_topology_is_refused_and_the_next_is_not(store: RedisStore) -> None:
    version = store.topology().version
    with pytest.raises(TopologyMoved):
        store.put([(QUEUE, message("a"))], version + 1)
    store.put([(QUEUE, message("b"))], version)
    with pytest.raises(TopologyMoved):
        store.put([("nowhere", message("c"))], version)
    store.put([(QUEUE, message("d"))], version)
    assert [delivery.body for delivery in store.claim({QUEUE: 5}, LEASE)] == [b"b", b"d"]


@pytest.mark.parametrize("limit", ["x-max-length", "x-max-length-bytes"])
def test_a_single_message_is_refused_by_a_full_queue(limit: str, store: RedisStore) -> None:
    store.declare(QueueSpec(name="full", arguments={limit: 1, "x-overflow": "reject-publish"}))
    version = store.topology().version
    store.put([("full", message("a"))], version)
    for _ in range(2):
        with pytest.raises(QueueFull):
            store.put([("full", message("b"))], version)
    assert [delivery.body for delivery in store.claim({"full": 5}, LEASE)] == [b"a"]
    store.delete("full")


def test_claiming_costs_the_same_whatever_waits_is_delayed_or_is_leased(alone: Alone) -> None:
    """By the commands that the server carries out."""
    store = redises.store(alone.url(), "")
    store.open()
    store.declare(QueueSpec(name="deep"))
    costs = []
    for size in (20, 4000):
        store.put([("deep", Envelope("{}", b"x"))] * size)
        store.put([("deep", Envelope("{}", b"x", delay=3600))] * size)
        store.claim({"deep": size // 2}, LEASE)
        before = calls(alone)
        assert len(store.claim({"deep": 5}, LEASE)) == 5
        costs.append(calls(alone) - before)
    assert costs[0] == costs[1]
    store.delete("deep")
    store.close()


def test_a_priority_above_the_queues_highest_is_its_highest(store: RedisStore) -> None:
    """A message that is moved brings the one it had elsewhere."""
    store.put([(QUEUE, message("a", priority=9)), (QUEUE, message("b"))])
    assert [delivery.body for delivery in store.claim({QUEUE: 5}, LEASE)] == [b"a", b"b"]


def test_there_are_never_more_connections_than_the_limit(alone: Alone) -> None:
    store = redises.store(alone.url(), "", max_connections=3, client_name="capped")
    store.open()
    store.declare(QueueSpec(name="capped"))
    in_threads([lambda: [store.put([("capped", message("a"))]) for _ in range(50)]] * 12)
    listed = alone.server.says("CLIENT", "LIST")
    assert 1 <= listed.count(b" name=capped ") <= 3
    assert store.counts(["capped"])["capped"].ready == 600
    store.delete("capped")
    store.close()


def test_when_all_connections_are_in_use_the_error_says_what_to_do(store: RedisStore, prefix: str) -> None:
    url = f"redis://{redises.ADDRESS}/0"
    small = redises.store(url, prefix, max_connections=2, socket_timeout=0.3)
    small.open()
    server = small._link._server  # type: ignore[attr-defined]
    lines = [server._take() for _ in range(2)]
    with pytest.raises(ConnectionLimitExceeded, match="max_connections"):
        small.counts([QUEUE])
    server._give(lines.pop())
    assert small.counts([QUEUE])[QUEUE].total == 0
    server._give(lines.pop())
    small.close()


def test_a_wait_ends_at_once_when_it_is_woken_and_its_connection_is_used_again(store: RedisStore) -> None:
    server = store._link._server  # type: ignore[attr-defined]
    for _ in range(3):
        waiting = threading.Thread(target=store.wait, args=([QUEUE], 60.0))
        waiting.start()
        store.wake()
        waiting.join(10)
        assert not waiting.is_alive()
    assert server._open <= 2


def test_one_connection_is_enough(url: str) -> None:
    with Connection(url, transport_options={"max_connections": 1}) as connection:
        Queue(QUEUE)(connection).declare()
        with connection.Consumer(Queue(QUEUE), on_message=lambda each: each.ack()):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.1)
            connection.Producer(routing_key=QUEUE).publish("a")
            connection.drain_events(timeout=10)


def test_tls_verifies_the_server(alone: Alone) -> None:
    secure = alone.secure_url()
    with Connection(f"{secure}?ssl_ca_certs={alone.certificates}/ca.pem") as connection:
        connection.connect()
    with Connection(secure, ssl={"ca_certs": f"{alone.certificates}/ca.pem"}) as connection:
        connection.connect()
    with pytest.raises(OperationalError, match=r"(?i)certificate"):
        Connection(secure).connect()
    with pytest.raises(OperationalError, match=r"(?i)certificate"):
        Connection(f"{secure.replace(servers.HOST, 'localhost')}?ssl_ca_certs={alone.certificates}/ca.pem").connect()
    with Connection(f"{secure}?ssl_cert_reqs=none&ssl_check_hostname=false") as connection:
        connection.connect()


def test_where_tls_is_not_spoken_the_error_asks_for_it(alone: Alone) -> None:
    for scheme in ("rediss", "rediss+cluster"):
        with pytest.raises(ConnectionError, match="speak TLS at this port"):
            Connection(f"{scheme}://{servers.HOST}:{alone.server.port}", connect_timeout=0.3).connect()
    with pytest.raises(ConnectionError) as raised:
        Connection(f"rediss://{servers.HOST}:1/0").connect()
    assert "TLS" not in str(raised.value)


def test_through_a_unix_socket(alone: Alone) -> None:
    url = f"redis+socket://:{alone.password}@/{alone.socket}".replace("@//", "@/") + "?virtual_host=2"
    with Connection(url) as connection:
        Queue(QUEUE)(connection).declare()
        connection.Producer(routing_key=QUEUE).publish("a")
    with Connection(alone.url(database=2)) as connection:
        assert Queue(QUEUE)(connection).get(no_ack=True).payload == "a"


def test_wrong_passwords_and_users_are_refused_clearly_and_never_shown(alone: Alone) -> None:
    for userinfo in (":secret-x", "nobody:secret-x", ""):
        with pytest.raises(AccessRefused, match="does not let this user in") as raised:
            Connection(f"redis://{userinfo}@{servers.HOST}:{alone.server.port}/0").connect()
        assert "secret-x" not in str(raised.value)


def test_a_user_with_few_rights_needs_those_that_the_error_names(alone: Alone) -> None:
    rights = ["+@read", "+@write", "+@scripting", "+@connection", "+@blocking", "+time", "+info", "+wait"]
    alone.server.says("ACL", "SETUSER", "few", "on", ">pass", "~few:kombu:*", *rights)
    alone.server.says("ACL", "SETUSER", "none", "on", ">pass", "~other:*", *rights)
    with Connection(alone.url(user="few", password="pass") + "?global_keyprefix=few:") as connection:
        Queue(QUEUE)(connection).declare()
        connection.Producer(routing_key=QUEUE).publish("a")
        with connection.Consumer(Queue(QUEUE), on_message=lambda each: each.ack()):
            connection.drain_events(timeout=10)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.1)
        Queue(QUEUE)(connection).delete()
    with Connection(alone.url(user="none", password="pass")) as connection, pytest.raises(AccessRefused, match="ACL"):
        Queue(QUEUE)(connection).declare()


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        ("redis://127.0.0.1:1/0", OperationalError, "127.0.0.1:1"),
        ("redis://no.such.host.invalid/0", OperationalError, "no.such.host.invalid"),
        (f"redis://{redises.ADDRESS}/99999", InvalidURL, "number of a database"),
        (f"redis://{redises.ADDRESS}/shop", InvalidURL, "'shop'"),
        (f"redis://{redises.ADDRESS}/0?unknown=1", InvalidURL, "unknown"),
        (f"redis://{redises.ADDRESS}/0?visibility_timeout=1", InvalidURL, "lease"),
        (f"redis://{redises.ADDRESS}/0?max_connections=0", InvalidURL, "max_connections"),
        (f"redis://{redises.ADDRESS}/0?socket_timeout=inf", InvalidURL, "socket_timeout"),
        (f"redis://{redises.ADDRESS}/0?wait_replicas=-1", InvalidURL, "wait_replicas"),
        ("redis+cluster://127.0.0.1:1/3", InvalidURL, "database 0"),
        ("redis+cluster://127.0.0.1:1,127.0.0.1:2", OperationalError, "127.0.0.1:"),
        (f"redis+cluster://{redises.ADDRESS}", OperationalError, "cluster"),
        ("redis+sentinel://:secret-x@h/0?master_name=x", InvalidURL, "sentinel://host:26379/0.master_name=…$"),
        ("rediss+sentinel://:secret-x@h/0?master_name=x", InvalidURL, "sentinel://host:26379.* ssl=True"),
        ("sentinel+rediss://:secret-x@h/0?master_name=x", InvalidURL, "sentinel://host:26379.* ssl=True"),
        ("redis+shop://:secret-x@h/0", InvalidURL, "redis.cluster://"),
        ("redis+socket:///no/such/redis.sock", OperationalError, "/no/such/redis.sock"),
        ("sentinel://127.0.0.1:1/0?master_name=x", OperationalError, "sentinel 127.0.0.1:1"),
    ],
)
def test_a_bad_address_is_an_error_that_says_what_is_wrong(bad: str, error: type[KombuError], says: str) -> None:
    with pytest.raises(error, match=says) as raised:
        Connection(bad, connect_timeout=2).connect()
    assert "secret-x" not in str(raised.value)


def test_a_server_without_memory_refuses_messages_and_still_gives_out_what_it_has(alone: Alone) -> None:
    store = redises.store(alone.url(), "")
    store.open()
    store.declare(QueueSpec(name="full"))
    store.put([("full", message(str(number))) for number in range(10)])
    held = store.claim({"full": 2}, LEASE)
    alone.server.says("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(OperationalError, match="maxmemory"):
            store.put([("full", message("more"))])
        taken = store.claim({"full": 100}, LEASE)
        assert len(taken) == 8
        assert None not in store.extend([each.lease for each in held], LEASE)
        assert store.settle([Done(each.lease) for each in [*held, *taken]]) == [True] * 10
    finally:
        alone.server.says("CONFIG", "SET", "maxmemory", "0")
    assert store.counts(["full"])["full"].total == 0
    store.delete("full")
    store.close()


def test_a_server_that_would_throw_messages_away_is_not_used(alone: Alone) -> None:
    alone.server.says("CONFIG", "SET", "maxmemory", "1gb")
    alone.server.says("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(OperationalError, match="noeviction"):
            Connection(alone.url()).connect()
    finally:
        alone.server.says("CONFIG", "SET", "maxmemory-policy", "noeviction")
        alone.server.says("CONFIG", "SET", "maxmemory", "0")


def test_a_policy_that_could_throw_some_keys_away_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check("redis here", {"maxmemory_policy": "volatile-lru", "maxmemory": "1"})
    check("redis here", {"maxmemory_policy": "allkeys-lru", "maxmemory": "0"})
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "noeviction" in caplog.text


def test_a_server_that_becomes_a_replica_is_left(alone: Alone) -> None:
    store = redises.store(alone.url(), "")
    store.open()
    store.declare(QueueSpec(name="demoted"))
    alone.server.says("REPLICAOF", servers.HOST, "1")
    try:
        with pytest.raises(ConnectionError, match="replica"):
            store.put([("demoted", message("a"))])
        with pytest.raises(ConnectionError, match="replica"):
            store.wait(["demoted"], 5.0)
    finally:
        alone.server.says("REPLICAOF", "NO", "ONE")
    store.put([("demoted", message("a"))])
    store.delete("demoted")
    store.close()


def test_a_server_that_is_too_old_is_a_version_mismatch() -> None:
    with pytest.raises(VersionMismatch, match=r"Redis 6\.0\.16: Kombu needs 6\.2"):
        check("redis here", {"redis_version": "6.0.16"})
    check("redis here", {"redis_version": "6.2.0"})
    check("redis here", {"redis_version": "255.255.255"})


def test_what_servers_refuse_is_explained() -> None:
    from redis import exceptions as driver

    for error, kind, says in [
        (driver.BusyLoadingError("loading"), OperationalError, "loading its data"),
        (driver.ResponseError("MISCONF cannot persist"), OperationalError, "disk"),
        (driver.ResponseError("NOREPLICAS Not enough good replicas"), OperationalError, "min-replicas"),
        (driver.ClusterDownError("CLUSTERDOWN The cluster is down"), OperationalError, "down"),
        (driver.ConnectionError("gone"), ConnectionError, "gone"),
        (TimeoutError(), ConnectionError, "TimeoutError"),
    ]:
        found = explained("redis here", error)
        assert type(found) is kind
        assert says in str(found)


def lasting(prefix: str) -> list[bytes]:
    """The keys that do not end by themselves."""
    with redises.client() as server:
        return [key for key in server.scan_iter(match=f"{prefix}*", count=1000) if server.ttl(key) == -1]


def refuse_some(each: Any) -> None:
    if each.delivery_info["queue"] == QUEUE and each.payload == 3:
        each.reject()
    else:
        each.ack()


def calls(alone: Alone) -> int:
    """How many commands the server has carried out, those in scripts too; but for those that ask."""
    found = alone.server.says("INFO", "commandstats")
    return sum(each["calls"] for name, each in found.items() if name not in ("cmdstat_info", "cmdstat_auth"))


def certify(folder: Path) -> None:
    """A CA of our own, and a server's certificate for 127.0.0.1."""
    extensions = ["keyUsage=digitalSignature", "authorityKeyIdentifier=keyid", f"subjectAltName=IP:{servers.HOST}"]
    (folder / "names").write_text("\n".join(extensions))
    new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for command in (
        f"req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=ca -days 2 -addext keyUsage=critical,keyCertSign",
        f"req {new} -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
