"""What stands in Kombu's keys and is none of ours costs no message, and a script that fails has changed nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from kombu.testing.case import LEASE, message
from kombu.transport.redis import RedisStore
from kombu.transport.redis.keys import Keys
from kombu.transport.virtual.store import Delivery, Done, Move, QueueSpec, Release, User
from tests import redises

pytestmark = pytest.mark.server("redis")

QUEUE, OTHER = "orders", "bills"
SHORT = 0.002
NEW = (OTHER, message("new", ttl=60.0)), (QUEUE, message("new", ttl=60.0))
NOT_OURS = [
    "garbage",
    "",
    "- x 1 0",
    "- 1 nan 0",
    "- 1 1e999 0",
    "- 1 1 99",
    f"- {'9' * 400} 1 0",
    "- 1 1 -1",
    "- 1 1 0 0",
]


@pytest.fixture
def url(prefix: str) -> str:
    return f"redis://{redises.ADDRESS}/0?global_keyprefix={prefix}"


@pytest.fixture
def base(prefix: str) -> str:
    return Keys(prefix).queue(QUEUE).decode()


@pytest.fixture
def store(prefix: str) -> Iterator[RedisStore]:
    made = redises.store(f"redis://{redises.ADDRESS}/0", prefix)
    made.open()
    made.declare(QueueSpec(name=QUEUE, arguments={"x-max-length": 2, "x-max-length-bytes": 1000, "x-expires": 60000}))
    made.declare(QueueSpec(name=OTHER))
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[redis.Redis]:
    with redises.client() as made:
        yield made


def test_junk_where_a_message_should_be_is_handed_on_as_it_is(url: str, prefix: str) -> None:
    base = Keys(prefix).queue(QUEUE).decode()
    junk = [b"junk", b"\xff\x00", b"\x01\x00" + b"\xff" * 20, b""]
    with Connection(url) as connection:
        Queue(QUEUE)(connection).declare()
        with redises.client() as server:
            for number, body in enumerate(junk):
                server.hset(f"{base}:body", f"{number:016}", body)
                server.zadd(f"{base}:wait:0", {f"{number:016}": number})
            server.zadd(f"{base}:wait:0", {"no-body": 9})
        connection.Producer(routing_key=QUEUE).publish("ours")
        seen: list[Any] = []
        junk.append(b"")
        with connection.Consumer(Queue(QUEUE), on_message=lambda each: (seen.append(each), each.ack())):
            while len(seen) < 6:
                connection.drain_events(timeout=10)
        assert [bytes(each.body) for each in seen[:5]] == junk
        assert seen[5].payload == "ours"
        assert connection.default_channel.queue_declare(QUEUE, passive=True).message_count == 0


def test_a_key_that_is_somebody_elses_is_an_error_that_says_so(url: str, prefix: str) -> None:
    with redises.client() as server:
        server.set(f"{prefix}kombu:topology:{{kombu}}:document", "mine")
    with Connection(url) as connection, pytest.raises(OperationalError, match="global_keyprefix"):
        Queue(QUEUE)(connection).declare()


def test_junk_among_the_leased_costs_no_message(store: RedisStore, server: redis.Redis, base: str) -> None:
    put(store, "a", "b", "c")
    store.claim({QUEUE: 3}, SHORT)
    server.zadd(f"{base}:held", {"zz": 5, "yy": 6})
    server.hset(f"{base}:claims", "zz", "garbage")
    server.zadd(f"{base}:expiry", {"zz": 2e18})
    time.sleep(SHORT)
    assert store.counts([QUEUE])[QUEUE].total == 3
    assert [(each.body, each.delivery_count) for each in store.claim({QUEUE: 9}, LEASE)] == [
        (b"a", 2),
        (b"b", 2),
        (b"c", 2),
    ]
    assert sorted(server.zrange(f"{base}:held", 0, -1)) == sorted(server.hkeys(f"{base}:claims"))
    assert server.zcard(f"{base}:held") == 3
    assert not server.exists(f"{base}:expiry")


@pytest.mark.parametrize("record", NOT_OURS)
def test_a_message_whose_claim_is_junk_waits_again_like_any_other(
    record: str, store: RedisStore, server: redis.Redis, base: str
) -> None:
    put(store, "a", "b")
    first, _ = store.claim({QUEUE: 2}, SHORT)
    server.hset(f"{base}:claims", f"{first.lease.id:016}", record)
    time.sleep(SHORT)
    assert len(store.browse(QUEUE, 10)) == 2
    again, _ = store.claim({QUEUE: 2}, LEASE)
    assert (again.body, store.settle([Release(again.lease)])) == (b"a", [True])
    [last] = store.claim({QUEUE: 1}, LEASE)
    assert (last.body, last.delivery_count) == (b"a", again.delivery_count + 1)
    assert store.settle([Done(last.lease)]) == [True]


@pytest.mark.parametrize("record", NOT_OURS)
@pytest.mark.parametrize("what", ["done", "release", "extend"])
def test_what_holds_a_message_whose_claim_is_junk_can_settle_it(
    record: str, what: str, store: RedisStore, server: redis.Redis, base: str
) -> None:
    put(store, "a", "b")
    first, second = store.claim({QUEUE: 2}, LEASE)
    server.hset(f"{base}:claims", f"{first.lease.id:016}", f"{first.lease.token} {record.removeprefix('- ')}")
    if what == "extend":
        assert None not in store.extend([first.lease, second.lease], LEASE)
    else:
        outcome = Done if what == "done" else Release
        assert store.settle([outcome(first.lease), outcome(second.lease)]) == [True, True]
    assert len(store.claim({QUEUE: 9}, LEASE)) == (2 if what == "release" else 0)


def test_ids_that_are_none_of_ours_can_be_settled(store: RedisStore, server: redis.Redis, base: str) -> None:
    ids = ["5", "two words", "a\nb", "7 7 7\n1 1 1", "", "nan", "9" * 30]
    for number, id in enumerate(ids):
        server.hset(f"{base}:body", id, str(number))
        server.zadd(f"{base}:wait:0", {id: float("inf") if id == "nan" else number})
    put(store, "ours")
    assert store.counts([QUEUE])[QUEUE].total == 8
    found = store.claim({QUEUE: 9}, LEASE) + store.claim_chosen(QUEUE, ["nan"], LEASE)
    assert [each.body for each in found] == [b"0", b"1", b"2", b"3", b"4", b"6", b"ours", b"5"]
    assert store.settle([Release(each.lease) for each in found]) == [True] * 8
    store.wait([QUEUE], 0.0)
    found = store.claim({QUEUE: 9}, LEASE) + store.claim_chosen(QUEUE, ["nan"], LEASE)
    assert store.settle([Done(each.lease) for each in found]) == [True] * 8
    store.wait([QUEUE], 0.0)
    assert store.counts([QUEUE])[QUEUE].total == 0


def test_a_user_that_is_junk_is_forgotten(store: RedisStore, server: redis.Redis, base: str) -> None:
    for number, junk in enumerate(NOT_OURS):
        server.hset(f"{base}:users", f"c{number}", junk)
    assert store.attend([User(QUEUE, "me")], 60.0) == [True]
    assert store.attending([QUEUE]) == {QUEUE: [User(QUEUE, "me")]}


def test_a_queue_whose_keys_are_somebody_elses_does_not_keep_others_from_their_messages(
    store: RedisStore, server: redis.Redis, base: str
) -> None:
    store.put([(OTHER, message("a"))])
    server.set(f"{base}:wait:0", "mine")
    assert [each.body for each in store.claim({OTHER: 1, QUEUE: 1}, LEASE)] == [b"a"]
    with pytest.raises(OperationalError, match="global_keyprefix"):
        store.claim({OTHER: 1, QUEUE: 1}, LEASE)


def test_a_bell_that_is_somebody_elses_keeps_nobody_from_publishing(
    store: RedisStore, server: redis.Redis, base: str
) -> None:
    server.set(f"{base}:wake", "mine")
    store.put([(QUEUE, message("a"))], store.topology().version)
    store.put([(QUEUE, message("b"))])
    [first] = store.claim({QUEUE: 1}, LEASE)
    assert store.settle([Release(first.lease)]) == [True]
    assert len(store.claim({QUEUE: 9}, LEASE)) == 2


CALLS: dict[str, Callable[[RedisStore, list[Delivery]], object]] = {
    "put one": lambda store, _: store.put([(OTHER, message("new"))], store.topology().version),
    "put": lambda store, _: store.put(NEW, store.topology().version),
    "move": lambda store, held: store.settle([Move(held[0].lease, NEW)]),
    "claim": lambda store, _: store.claim({QUEUE: 9}, LEASE),
    "done": lambda store, held: store.settle([Done(each.lease) for each in held]),
    "release": lambda store, held: store.settle([Release(each.lease) for each in held]),
    "extend": lambda store, held: store.extend([each.lease for each in held], LEASE),
    "counts": lambda store, _: store.counts([QUEUE]),
    "purge": lambda store, _: store.purge(QUEUE),
    "surplus": lambda store, _: store.surplus([QUEUE], LEASE),
    "sweep": lambda store, _: store.sweep(10, LEASE),
    "choose": lambda store, _: store.claim_chosen(QUEUE, [each.lease.id for each in store.browse(QUEUE, 9)], LEASE),
    "attend": lambda store, _: store.attend([User(QUEUE, "you")], 60.0),
    "leave": lambda store, _: store.leave([User(QUEUE, "me")]),
    "declare": lambda store, _: store.declare(QueueSpec(name="third", arguments={"x-expires": 60000})),
    "delete": lambda store, _: store.delete(QUEUE),
}
OTHERS = "other's "
PARTS = ["info", "wait:0", "held", "body", "claims", "expiry", "users"]
LISTS = ["document", "mortal", "ending", "paused"]
WAYS = [
    *(("leased", call, part) for call in CALLS for part in (*PARTS, *LISTS)),
    *(("leased", call, f"{OTHERS}{part}") for call in ("put one", "put", "move") for part in PARTS),
    *(("lease over", call, part) for call in CALLS for part in PARTS),
    *(("waits again", call, part) for call in ("move", "done", "release", "extend") for part in PARTS),
]


@pytest.mark.parametrize(("state", "call", "part"), WAYS)
def test_what_fails_because_a_key_is_of_another_type_has_changed_nothing(
    state: str, call: str, part: str, store: RedisStore, server: redis.Redis, prefix: str, base: str
) -> None:
    """But that messages whose lease is over wait again; and one that cannot be removed is as if its lease were over."""
    loose = [b":held", b":wait:0"] if state == "lease over" or call == "done" else []
    loose += [b":expiry"] if call == "done" else []
    store.put([(QUEUE, message(body, ttl=60.0)) for body in "abcde"])
    store.put([(QUEUE, message("expired", ttl=SHORT))])
    store.attend([User(QUEUE, "me")], 60.0)
    held = store.claim({QUEUE: 2}, LEASE if state == "leased" else SHORT)
    store._mark(b":mortal", base.encode(), b"1")
    time.sleep(SHORT)
    if state == "waits again":
        store.counts([QUEUE])
    key = f"{Keys(prefix).topology.decode()}:{part}" if part in LISTS else f"{base}:{part}"
    if part.startswith(OTHERS):
        key = f"{Keys(prefix).queue(OTHER).decode()}:{part.removeprefix(OTHERS)}"
    before = everything(server, prefix, loose)
    moved = server.exists(key) and server.rename(key, f"{prefix}:away")
    server.set(key, "mine")
    try:
        CALLS[call](store, held)
        failed = False
    except OperationalError:
        failed = True
    if failed or server.type(key) == b"string":
        server.delete(key)
        if moved:
            server.rename(f"{prefix}:away", key)
    if failed:
        assert everything(server, prefix, loose) == before


def put(store: RedisStore, *bodies: str) -> None:
    store.put([(QUEUE, message(body)) for body in bodies])


def everything(server: redis.Redis, prefix: str, loose: list[bytes]) -> dict[bytes, Any]:
    """The keys and what is in them; but of those that are ``loose`` the ids only, wherever they are. What tells when to
    look again does not count, as earlier is as good."""
    found: dict[bytes, Any] = {b"ids": set()}
    for key in sorted(server.scan_iter(match=f"{prefix}*", count=1000)):
        match server.type(key):
            case b"hash":
                found[key] = server.hgetall(key)
                if loose:
                    found[key].pop(b"weight", None)
            case b"zset":
                scores = server.zrange(key, 0, -1, withscores=True)
                if key.endswith(tuple(loose)):
                    found[b"ids"].update(id for id, _ in scores)
                else:
                    found[key] = [id for id, _ in scores] if key.endswith((b":mortal", b":ending")) else scores
            case b"set":
                found[key] = server.smembers(key)
            case b"string":
                found[key] = server.get(key)
    return found
