"""beanstalk: what is its own, beside what every transport promises."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import greenstalk
import pytest

from kombu import Connection, Exchange, Queue
from kombu.exceptions import InvalidURL, NotSupported, OperationalError, PreconditionFailed
from kombu.transport.beanstalk import BeanstalkStore
from kombu.transport.beanstalk.document import TubeDocument
from kombu.transport.beanstalk.jobs import framed
from kombu.transport.beanstalk.names import prefix_of, tube_of
from kombu.transport.beanstalk.wire import Line
from kombu.transport.virtual.store import Done, Envelope, Lease, Move, QueueSpec, Release
from tests import beanstalk, servers
from tests.instances import instance

QUEUE = "orders"
LEASE = 60.0
ENVELOPE = Envelope('{"text": "ours"}', b"body")

pytestmark = pytest.mark.server("beanstalkd")


@pytest.fixture
def host() -> Iterator[str]:
    """A virtual host of the test's own."""
    name = uuid4().hex
    yield name
    beanstalk.clear(name)


@pytest.fixture
def store(host: str) -> Iterator[BeanstalkStore]:
    made = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host)
    made.open()
    made.declare(QueueSpec(name=QUEUE))
    yield made
    made.close()


@pytest.fixture
def stranger(host: str) -> Iterator[greenstalk.Client[bytes]]:
    """Another program, on the tube of the queue."""
    with beanstalk.client() as client:
        client.use(f"{host};{QUEUE}")
        client.watch(f"{host};{QUEUE}")
        yield client


def url(host: str) -> str:
    return f"beanstalk://{servers.HOST}:{servers.BEANSTALKD_PORT}/{host}"


def take(store: BeanstalkStore) -> Lease:
    [delivery] = store.claim({QUEUE: 1}, LEASE)
    return delivery.lease


LYING = b"\x00kombu\x01" + struct.pack(">dIIII", 1.0, 60, 65536, 7, 99) + b"x"
FOREIGN = [b"", b"plain", b"\xff\xfe\x00", b"\x00kombu\x01", LYING]


@pytest.mark.parametrize("body", FOREIGN, ids=["empty", "text", "bytes", "cut off", "lying about its length"])
def test_what_another_program_has_put_is_delivered_as_it_is(
    host: str, store: BeanstalkStore, stranger: greenstalk.Client[bytes], body: bytes
) -> None:
    stranger.put(body)
    with Connection(url(host)) as connection:
        message = Queue(QUEUE)(connection).get()
        assert message is not None
        assert (message.body, message.content_type) == (body, "application/octet-stream")
        assert message.payload == body
        message.ack()
    assert store.counts([QUEUE])[QUEUE].total == 0


def test_another_program_gets_what_we_publish(store: BeanstalkStore, stranger: greenstalk.Client[bytes]) -> None:
    store.put([(QUEUE, ENVELOPE)])
    job = stranger.reserve(timeout=0)
    found = framed(job.body)
    assert found is not None
    assert (found.head, found.body, found.ttr) == (ENVELOPE.head, ENVELOPE.body, LEASE)
    assert job.body.endswith(ENVELOPE.body)
    stranger.delete(job)


def test_the_most_urgent_priority_of_another_program_comes_first_and_is_kept(
    store: BeanstalkStore, stranger: greenstalk.Client[bytes]
) -> None:
    store.put([(QUEUE, ENVELOPE._replace(priority=9))])
    stranger.put(b"urgent", priority=0)
    [delivery] = store.claim({QUEUE: 1}, LEASE)
    assert (delivery.body, delivery.priority) == (b"urgent", 255)
    assert store.settle([Release(delivery.lease)]) == [True]
    assert stranger.stats_job(int(delivery.lease.id))["pri"] == 0


def test_a_job_with_a_short_time_to_run_is_ours_as_long_as_its_lease(
    store: BeanstalkStore, stranger: greenstalk.Client[bytes]
) -> None:
    id = stranger.put(b"short", ttr=1)
    lease = take(store)
    deadline = time.monotonic() + 20
    while stranger.stats_job(id)["age"] < 3:
        assert time.monotonic() < deadline
        assert stranger.stats_job(id)["state"] == "reserved"
        time.sleep(0.05)
    assert store.settle([Done(lease)]) == [True]


def test_what_a_lost_connection_held_is_there_at_once(host: str, store: BeanstalkStore) -> None:
    store.put([(QUEUE, ENVELOPE)])
    other = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host)
    other.open()
    take(other)
    other.close()
    store.wait([QUEUE], 10.0)
    [delivery] = store.claim({QUEUE: 1}, LEASE)
    assert delivery.delivery_count == 2


def test_a_kick_of_an_operator_gives_another_attempt(store: BeanstalkStore, stranger: greenstalk.Client[bytes]) -> None:
    id = stranger.put(b"job")
    stranger.bury(stranger.reserve_job(id))
    stranger.kick_job(id)
    [delivery] = store.claim({QUEUE: 1}, LEASE)
    assert delivery.delivery_count == 1


def test_a_late_settler_does_not_take_what_others_had_since(host: str, store: BeanstalkStore) -> None:
    store.put([(QUEUE, ENVELOPE)])
    [late] = store.claim({QUEUE: 1}, 0.05)
    other = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host)
    other.open()
    try:
        deadline = time.monotonic() + 10
        while not (found := other.claim({QUEUE: 1}, LEASE)):
            assert time.monotonic() < deadline
            store.wait([QUEUE], 0.02)
        assert other.settle([Release(found[0].lease)]) == [True]
        assert store.settle([Done(late.lease)]) == [False]
        assert store.counts([QUEUE])[QUEUE].ready == 1
    finally:
        other.close()


def test_what_is_released_into_a_queue_that_is_gone_is_gone(host: str, store: BeanstalkStore) -> None:
    store.put([(QUEUE, ENVELOPE)])
    other = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host)
    other.open()
    lease = take(other)
    store.delete(QUEUE)
    store.declare(QueueSpec(name="another"))
    assert other.settle([Release(lease)]) == [True]
    store.declare(QueueSpec(name=QUEUE))
    assert store.counts([QUEUE])[QUEUE].total == 0
    other.close()


def test_a_message_that_is_too_large_is_refused_before_it_is_sent() -> None:
    with instance_with_small_jobs() as port, Connection(f"beanstalk://{servers.HOST}:{port}") as connection:
        Queue(QUEUE)(connection).declare()
        producer = connection.Producer(routing_key=QUEUE)
        with pytest.raises(PreconditionFailed, match=r"body of 5000 bytes.*'beanstalk'.* -z"):
            producer.publish(b"x" * 5000, content_type="application/octet-stream")
        producer.publish(b"x" * 500, content_type="application/octet-stream")
        assert Queue(QUEUE)(connection).queue_declare().message_count == 1


def test_a_dead_letter_that_does_not_fit_stays_buried_in_its_queue() -> None:
    with instance_with_small_jobs() as port:
        store = BeanstalkStore(servers.HOST, port)
        store.open()
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, ENVELOPE)])
        move = Move(take(store), ((QUEUE, ENVELOPE._replace(body=b"x" * 5000)),))
        assert store.settle([move]) == [True]
        store.close()
        with greenstalk.Client((servers.HOST, port), encoding=None, use=QUEUE) as client:
            assert client.peek_buried().body.endswith(ENVELOPE.body)


def test_what_is_rejected_may_be_buried_for_people_to_see(host: str, stranger: greenstalk.Client[bytes]) -> None:
    with Connection(url(host), transport_options={"bury": True}) as connection:
        queue = Queue(QUEUE)(connection)
        queue.declare()
        connection.Producer().publish("bad", routing_key=QUEUE)
        message = queue.get()
        assert message is not None
        message.reject()
    assert stranger.stats_job(stranger.peek_buried())["state"] == "buried"


def test_a_topology_whose_writer_died_half_way_is_seen_by_all(host: str, store: BeanstalkStore) -> None:
    """It had put the new document, and not removed the one before, which publishers look at."""
    publisher = BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host)
    publisher.open()
    version = publisher.topology().version
    text, before = store.read_document()
    line = Line(servers.HOST, servers.BEANSTALKD_PORT, 5.0, 5.0)
    dying = TubeDocument(line, prefix_of(host), line.greet())
    dying._remove = lambda id: None  # type: ignore[method-assign]
    assert dying.replace(text.replace('"version":', '"version": 1', 1), before)
    line.close()
    assert publisher.topology().version != version
    store.declare(QueueSpec(name="another"))
    assert set(publisher.topology().queues) == {QUEUE, "another"}
    publisher.close()


def test_of_many_that_change_the_document_at_once_one_wins(host: str, store: BeanstalkStore) -> None:
    text, before = store.read_document()
    handles = [BeanstalkStore(servers.HOST, servers.BEANSTALKD_PORT, host) for _ in range(6)]
    for handle in handles:
        handle.open()
    barrier, won = threading.Barrier(len(handles)), list[bool]()

    def change(handle: BeanstalkStore, version: int) -> None:
        barrier.wait()
        won.append(handle.write_document(text, version, before))

    threads = [threading.Thread(target=change, args=(handle, n)) for n, handle in enumerate(handles)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]
    assert store.read_document()[1].generation == before.generation + 1
    with beanstalk.client() as client:
        assert client.stats_tube(f"{host};$topology")["current-jobs-ready"] == 1
    for handle in handles:
        handle.close()


def test_different_queues_have_different_tubes_that_the_protocol_allows() -> None:
    names = ["a", "A", "-a", "a;b", "$topology", "$24topology", "ü", "u", "x" * 255, "x" * 254, "x" * 120 + "y" * 135]
    tubes = [tube_of(prefix, name) for prefix in ("", "a;") for name in names]
    assert len(set(tubes)) == len(tubes)
    assert max(map(len, tubes)) <= 200
    assert "$topology" not in tubes
    assert not any(tube.startswith("-") for tube in tubes)


def test_a_time_to_live_that_is_no_number_makes_a_foreign_job() -> None:
    assert framed(b"\x00kombu\x01" + struct.pack(">dIIII", float("nan"), 60, 65536, 7, 0)) is None


@pytest.mark.parametrize(
    ("options", "naming"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"bury": "deep"}, "bury"),
        ({"tube": "x"}, "tube"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], naming: str) -> None:
    with pytest.raises(InvalidURL, match=naming):
        Connection("beanstalk://", transport_options=options).connect()


def test_what_the_protocol_does_not_have_is_refused(host: str) -> None:
    for address in ("beanstalk://user@host", "beanstalk://:secret@host"):
        with pytest.raises(InvalidURL, match="no users") as refusal:
            Connection(address).connect()
        assert "secret" not in str(refusal.value)
    with pytest.raises(InvalidURL, match="no TLS"):
        Connection(url(host), ssl=True).connect()
    with Connection(url(host)) as connection, pytest.raises(NotSupported, match=r"x-max-length.*|.*beanstalk"):
        Queue("bounded", Exchange(""), max_length=3)(connection).declare()


def test_a_server_that_is_not_there_or_another_one_is_said_to_be_so() -> None:
    with socket.create_server((servers.HOST, 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(OperationalError, match="Does beanstalkd run there"):
        Connection(f"beanstalk://{servers.HOST}:{port}").connect()
    with socket.create_server((servers.HOST, 0)) as listening:
        threading.Thread(target=answer_as_http, args=(listening,)).start()
        with pytest.raises(OperationalError, match="does not answer as beanstalkd does"):
            Connection(f"beanstalk://{servers.HOST}:{listening.getsockname()[1]}").connect()
    with socket.create_server((servers.HOST, 0)) as silent:
        address = f"beanstalk://{servers.HOST}:{silent.getsockname()[1]}"
        with pytest.raises(OperationalError, match="does not answer"):
            Connection(address, connect_timeout=0.2).connect()


def answer_as_http(listening: socket.socket) -> None:
    client, _ = listening.accept()
    with client:
        client.recv(100)
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@contextmanager
def instance_with_small_jobs() -> Iterator[int]:
    """The port of a server of the test's own that takes jobs of 4 KiB."""
    with instance("beanstalkd", {"KOMBU_BEANSTALKD_MAX_JOB": "4096"}) as made:
        yield made.port
