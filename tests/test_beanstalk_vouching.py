"""beanstalk: the server is not asked about each job, and what is said of them is true all the same."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import greenstalk
import pytest

from kombu.transport.beanstalk import BeanstalkStore
from kombu.transport.beanstalk.jobs import Framed, Job, data_of
from kombu.transport.beanstalk.vouching import Reserved, quiet_for, vouched
from kombu.transport.beanstalk.wire import Reply
from kombu.transport.virtual.store import Delivery, Done, Envelope, QueueSpec, Release
from tests import servers
from tests.instances import Instance, instance

QUEUE = "orders"
LEASE = 60.0
ENVELOPE = Envelope('{"text": "ours"}', b"body")
OLD_ENOUGH = 3
"""Seconds that a server has to run, for jobs that are put then to be younger in whole seconds."""

pytestmark = pytest.mark.server("beanstalkd")


@pytest.fixture(scope="module")
def made() -> Iterator[Instance]:
    """A server that nobody else asks for anything."""
    with instance("beanstalkd") as server:
        wait_for(server, "uptime", OLD_ENOUGH)
        yield server


@pytest.fixture
def host() -> str:
    """A virtual host of the test's own."""
    return uuid4().hex


@pytest.fixture
def store(host: str, made: Instance) -> Iterator[BeanstalkStore]:
    """It has found all that it asked for the last time."""
    with opened(host, made) as store:
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, ENVELOPE)] * 8)
        store.settle([Done(delivery.lease) for delivery in store.claim({QUEUE: 8}, LEASE)])
        yield store


@pytest.fixture
def other(host: str, made: Instance, store: BeanstalkStore) -> Iterator[BeanstalkStore]:
    """Another process, on the same queue."""
    with opened(host, made) as other:
        yield other


@contextmanager
def opened(host: str, made: Instance) -> Iterator[BeanstalkStore]:
    store = BeanstalkStore(servers.HOST, made.port, host)
    store.open()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def client(made: Instance) -> Iterator[greenstalk.Client[bytes]]:
    with greenstalk.Client((servers.HOST, made.port), encoding=None) as driver:
        yield driver


def wait_for(made: Instance, figure: str, least: int) -> None:
    deadline = time.monotonic() + 60
    with client(made) as driver:
        while int(driver.stats()[figure]) < least:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def questions(made: Instance) -> int:
    """How often the server was asked about a job."""
    with client(made) as driver:
        return int(driver.stats()["cmd-stats-job"])


def claim_all(store: BeanstalkStore) -> list[Delivery]:
    deliveries: list[Delivery] = []
    while found := store.claim({QUEUE: 100}, LEASE):
        deliveries += found
    return deliveries


def check(deliveries: Sequence[Delivery], made: Instance) -> None:
    """Against what the server says."""
    with client(made) as driver:
        for delivery in deliveries:
            stats = driver.stats_job(int(delivery.lease.id))
            assert delivery.delivery_count == stats["reserves"] - stats["kicks"]
            assert delivery.priority == 65536 - stats["pri"]
            assert 0 <= stats["age"] - delivery.age <= 30


def test_draining_a_full_queue_asks_about_few_jobs(store: BeanstalkStore, made: Instance) -> None:
    """In the worst case all of some claims: of those whose messages were put in two different seconds."""
    store.put([(QUEUE, ENVELOPE._replace(body=b"%d" % number)) for number in range(1000)])
    before = questions(made)
    deliveries = claim_all(store)
    assert [int(delivery.body) for delivery in deliveries] == list(range(1000))
    assert questions(made) - before < 500
    check(deliveries, made)
    assert all(store.settle([Done(delivery.lease) for delivery in deliveries]))


def test_what_is_said_of_jobs_is_true_whatever_others_do(
    host: str, store: BeanstalkStore, other: BeanstalkStore, made: Instance
) -> None:
    chance = random.Random(5)
    for _ in range(25):
        for putting in (store, other, store):
            envelopes = [ENVELOPE._replace(priority=chance.choice((0, 0, 0, 3))) for _ in range(chance.randint(1, 40))]
            putting.put([(QUEUE, envelope) for envelope in envelopes])
        with opened(host, made) as dying:
            for claiming in (other, dying):
                for delivery in claiming.claim({QUEUE: chance.randint(0, 8)}, LEASE):
                    outcomes = (Done(delivery.lease), Release(delivery.lease), Release(delivery.lease, counted=False))
                    claiming.settle([chance.choice(outcomes)] if chance.random() < 0.9 else [])
        deliveries = claim_all(store)
        check(deliveries, made)
        store.settle([chance.choice((Done, Done, Release))(delivery.lease) for delivery in deliveries])
        other.settle([Done(held.lease) for held in list(other._reservations.held)])


def test_a_job_whose_put_took_long_does_not_vouch_for_those_put_meanwhile(
    host: str, store: BeanstalkStore, other: BeanstalkStore, made: Instance
) -> None:
    """It got its number first, and was not ready when another consumer had the ones after it."""
    data = data_of(ENVELOPE, 60, 7)
    with client(made) as driver, socket.create_connection((servers.HOST, made.port)) as slow:
        slow.settimeout(30)
        puts = int(driver.stats()["cmd-put"])
        slow.sendall(b"use %b;%b\r\nput 65536 0 60 %d\r\n%b" % (host.encode(), QUEUE.encode(), len(data), data[:9]))
        wait_for(made, "cmd-put", puts + 1)
        other.put([(QUEUE, ENVELOPE)] * 40)
        given_back = [Release(delivery.lease) for delivery in other.claim({QUEUE: 3}, LEASE)]
        assert other.settle(given_back) == [True] * 3
        slow.sendall(data[9:] + b"\r\n")
        assert slow.recv(100).startswith(b"USING")
        wait_for_ready(driver, host, 41)
    deliveries = store.claim({QUEUE: 100}, LEASE)
    assert [delivery.delivery_count for delivery in deliveries] == [1, 2, 2, 2] + [1] * 37


def wait_for_ready(driver: greenstalk.Client[bytes], host: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while driver.stats_tube(f"{host};{QUEUE}")["current-jobs-ready"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_given_back_before_the_server_was_started_again_is_known(host: str) -> None:
    """It forgets who had the first one, and not that the second one was given back for later."""
    with instance("beanstalkd") as made:
        with opened(host, made) as store:
            store.declare(QueueSpec(name=QUEUE))
            store.put([(QUEUE, ENVELOPE)] * 40)
            deliveries = store.claim({QUEUE: 8}, LEASE) + store.claim({QUEUE: 2}, LEASE)
            assert len(deliveries) == 10
            assert store.settle([Release(deliveries[-1].lease, delay=1.0)]) == [True]
            made.end("kill")
        made.start()
        wait_for(made, "uptime", OLD_ENOUGH)
        with opened(host, made) as store:
            assert len(store.claim({QUEUE: 8}, LEASE)) == 8
            deliveries = store.claim({QUEUE: 100}, LEASE)
            assert [delivery.delivery_count for delivery in deliveries] == [1, 2] + [1] * 30


OURS = Framed(float("inf"), 60, 65536, 7, "{}", b"")
RUN = [Reserved(QUEUE, id, b"", OURS) for id in range(10, 15)]
FRESH = Job(priority=65536, age=5, delay=0, ttr=60, reserves=1, kicks=0)
UPTIME = 9


def test_a_job_that_nobody_had_before_vouches_for_those_after_it() -> None:
    assert vouched(RUN, {10: FRESH, 14: FRESH}, UPTIME) == {11: FRESH, 12: FRESH, 13: FRESH}


@pytest.mark.parametrize(
    "known",
    [
        {10: FRESH},
        {14: FRESH},
        {10: FRESH._replace(reserves=2), 14: FRESH},
        {10: FRESH, 14: FRESH._replace(reserves=2, kicks=1)},
        {10: FRESH._replace(delay=1), 14: FRESH},
        {10: FRESH._replace(ttr=9), 14: FRESH},
        {10: FRESH, 14: FRESH._replace(priority=9)},
        {10: FRESH, 14: FRESH._replace(age=4)},
        {10: FRESH._replace(age=UPTIME - 1), 14: FRESH._replace(age=UPTIME - 1)},
    ],
    ids=["last gone", "first gone", "had", "last had", "delayed", "short", "urgent", "of two ages", "older than all"],
)
def test_where_it_might_not_be_so_it_vouches_for_nobody(known: dict[int, Job]) -> None:
    assert vouched(RUN, known, UPTIME) == {}


@pytest.mark.parametrize(
    ("ours", "sure"),
    [
        (OURS._replace(priority=65535), {11, 13}),
        (OURS._replace(priority=65537), {11, 12, 13}),
        (None, {11, 13}),
    ],
    ids=["more urgent", "less urgent", "foreign"],
)
def test_only_those_are_vouched_for_that_could_not_come_before_it(ours: Framed | None, sure: set[int]) -> None:
    run = [*RUN[:2], Reserved(QUEUE, 12, b"", ours), *RUN[3:]]
    assert set(vouched(run, {10: FRESH, 14: FRESH}, UPTIME)) == sure


def test_a_job_without_another_one_of_its_sender_vouches_for_nobody() -> None:
    run = [RUN[0], *(each._replace(ours=OURS._replace(sender=8)) for each in RUN[1:])]
    assert vouched(run, {10: FRESH, 14: FRESH}, UPTIME) == {}


def stats(**figures: int) -> Reply:
    known = {"cmd-release": 1, "cmd-bury": 2, "job-timeouts": 3, "current-connections": 4, "total-connections": 5}
    given = {**known, "uptime": UPTIME, **{name.replace("_", "-"): value for name, value in figures.items()}}
    return Reply(b"OK", [], b"".join(b"%b: %d\n" % (name.encode(), value) for name, value in given.items()))


def test_a_server_was_quiet_while_nobody_gave_anything_back() -> None:
    assert quiet_for(stats(), stats(current_connections=7, total_connections=8)) == UPTIME
    for name in ("cmd_release", "cmd_bury", "job_timeouts", "total_connections"):
        assert quiet_for(stats(), stats(**{name: 9})) == 0
    assert quiet_for(stats(), Reply(b"UNKNOWN_COMMAND", [], b"")) == 0
    assert quiet_for(Reply(b"UNKNOWN_COMMAND", [], b""), Reply(b"UNKNOWN_COMMAND", [], b"")) == 0
