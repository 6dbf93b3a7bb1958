"""What is particular about SQS: FIFO queues, long delays, limits, predefined queues, foreign messages, bills."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("boto3")

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import (
    AccessRefused,
    ConnectionError,
    KombuError,
    NotFound,
    NotSupported,
    PreconditionFailed,
)
from kombu.testing import bodies, message
from kombu.transport.sqs import SQSStore
from kombu.transport.sqs.limits import Limits
from kombu.transport.sqs.names import real_name
from kombu.transport.virtual import VirtualConnection
from kombu.transport.virtual.store import Delivery, Done, Envelope, Move, QueueSpec, Release
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec
from tests.aws import Region

pytestmark = pytest.mark.server("sqs")

LEASE = 60.0
QUEUE = "orders"


@pytest.fixture
def open_store(region: Region) -> Iterator[Callable[..., SQSStore]]:
    """Stores that are closed when the test ends."""
    stores: list[SQSStore] = []

    def make(limits: Limits | None = None, **options: object) -> SQSStore:
        stores.append(region.store(limits, **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., SQSStore]) -> SQSStore:
    return open_store()


@pytest.fixture
def connection(region: Region) -> Iterator[Connection]:
    with Connection(region.url()) as connection:
        yield connection


def url_of(region: Region, name: str) -> str:
    return str(region.calls.sqs("get_queue_url", QueueName=region.prefix + name)["QueueUrl"])


def take(store: SQSStore, queue: str = QUEUE, count: int = 1) -> list[Delivery]:
    taken: list[Delivery] = []
    for _ in range(40):
        taken += store.claim({queue: count - len(taken)}, LEASE)
        if len(taken) >= count:
            return taken
        store.wait([queue], 0.5)
    raise AssertionError(f"{len(taken)} of {count} messages came")


class TestFIFO:
    def test_a_queue_whose_name_ends_so_keeps_the_order(self, connection: Connection, region: Region) -> None:
        orders = Queue("orders.fifo")
        orders(connection).declare()
        connection.Producer().publish_many(list(range(25)), routing_key=orders.name)
        found: list[object] = []
        while len(found) < 25:
            got = orders(connection).get()
            assert got is not None
            found.append(got.payload)
            got.ack()
            connection.channel().queue_declare(orders.name, passive=True)  # the acknowledgement is written
        assert found == list(range(25))
        assert region.attributes(url_of(region, "orders.fifo"))["FifoQueue"] == "true"

    def test_a_message_that_is_held_holds_up_its_group_only(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name="orders.fifo"))
        store.put([("orders.fifo", with_headers(text, MessageGroupId=text[0])) for text in ("a1", "a2", "b1")])
        first = store.claim({"orders.fifo": 1}, LEASE)
        assert bodies(first) == ["a1"]
        assert bodies(take(store, "orders.fifo")) == ["b1"]
        assert store.claim({"orders.fifo": 10}, LEASE) == []
        store.settle([Done(first[0].lease)])
        assert bodies(take(store, "orders.fifo")) == ["a2"]

    def test_a_message_that_is_published_again_is_stored_once(self, connection: Connection) -> None:
        orders = Queue("orders.fifo")(connection)
        orders.declare()
        for _ in range(2):
            connection.Producer().publish("pay", routing_key=orders.name, headers={"MessageDeduplicationId": "order-7"})
        assert orders.queue_declare(passive=True).message_count == 1

    def test_a_message_that_is_moved_back_is_no_duplicate(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name="orders.fifo"))
        envelope = with_headers("a", MessageDeduplicationId="order-7")
        store.put([("orders.fifo", envelope)])
        [delivery] = take(store, "orders.fifo")
        assert store.settle([Move(delivery.lease, (("orders.fifo", envelope),))]) == [True]
        assert store.counts(["orders.fifo"])["orders.fifo"].ready == 1

    def test_a_delay_is_refused_by_its_name(self, connection: Connection) -> None:
        Queue("orders.fifo")(connection).declare()
        with pytest.raises(NotSupported, match=r"delay=5: transport 'sqs' .*'orders\.fifo'"):
            connection.Producer().publish(1, routing_key="orders.fifo", delay=5)

    @pytest.mark.parametrize("group", ["", "with space", "ü", "x" * 129])
    def test_a_group_that_aws_refuses_is_refused_before(self, store: SQSStore, group: str) -> None:
        store.declare(QueueSpec(name="orders.fifo"))
        with pytest.raises(PreconditionFailed, match="MessageGroupId"):
            store.put([("orders.fifo", with_headers("a", MessageGroupId=group))])


def with_headers(text: str, **headers: str) -> Envelope:
    head = {"exchange": "", "routing_key": QUEUE, "properties": {"headers": headers}}
    return Envelope(json.dumps(head), text.encode())


class TestLongDelays:
    """With limits that a test can wait for: one second for a delay, and three for being invisible."""

    limits = Limits(delay=1, visibility=63)

    def test_a_message_waits_longer_than_aws_lets_it_at_a_time(self, open_store: Callable[..., SQSStore]) -> None:
        store = open_store(self.limits)
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, message("later", delay=3.5))])
        [delivery] = take(store)
        assert (bodies([delivery]), delivery.delivery_count) == (["later"], 1)
        assert delivery.age >= 3.4
        assert store.settle([Done(delivery.lease)]) == [True]
        assert store.counts([QUEUE])[QUEUE].total == 0

    def test_a_message_released_for_longer_than_aws_lets_it_comes_in_time_and_counted(
        self, open_store: Callable[..., SQSStore]
    ) -> None:
        store = open_store(Limits(delay=1, visibility=61))
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, message("again"))])
        [first] = take(store)
        assert store.settle([Release(first.lease, delay=2.5)]) == [True]
        [second] = take(store)
        assert (bodies([second]), second.delivery_count) == (["again"], 2)
        assert second.age - first.age >= 2.4


class TestLimits:
    def test_what_is_too_large_is_refused_before_anything_is_sent(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name=QUEUE))
        with pytest.raises(PreconditionFailed, match="body of 2000000 bytes: transport 'sqs' keeps 1048576"):
            store.put([(QUEUE, message("small")), (QUEUE, message("large", body=b"x" * 2_000_000))])
        assert store.counts([QUEUE])[QUEUE].total == 0
        assert "SendMessageBatch" not in store.billed_requests()

    def test_the_limit_may_be_lower(self, open_store: Callable[..., SQSStore], region: Region) -> None:
        store = open_store(max_message_size=262_144)
        store.declare(QueueSpec(name=QUEUE))
        assert region.attributes(url_of(region, QUEUE))["MaximumMessageSize"] == "262144"
        with pytest.raises(PreconditionFailed, match="262144"):
            store.put([(QUEUE, message("large", body=b"x" * 262_144))])

    def test_large_messages_go_in_batches_that_aws_takes(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, message(str(n), body=b"%d" % n * 400_000)) for n in range(5)])
        assert {delivery.body[:1] for delivery in take(store, count=5)} == {b"0", b"1", b"2", b"3", b"4"}

    @pytest.mark.parametrize("argument", ["x-max-length", "x-max-priority", "x-expires", "x-single-active-consumer"])
    def test_what_sqs_cannot_keep_is_refused_when_it_is_declared(self, connection: Connection, argument: str) -> None:
        with pytest.raises(NotSupported, match=f"'sqs'.*{argument}"):
            Queue(QUEUE, queue_arguments={argument: 5})(connection).declare()

    def test_a_topology_that_does_not_fit_is_refused_and_the_one_before_stays(self, store: SQSStore) -> None:
        store.declare_exchange(ExchangeSpec(name="shop", arguments={"known": True}))
        before = store.topology()
        noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(10_000))
        with pytest.raises(PreconditionFailed, match="queue_name_prefix"):
            store.declare_exchange(ExchangeSpec(name="mall", arguments={"noise": noise}))
        assert store.topology() == before

    def test_many_queues_fit(self, store: SQSStore) -> None:
        from kombu.transport.sqs.tags import to_tags
        from kombu.transport.virtual.document import written
        from kombu.transport.virtual.topology import Topology

        queues = {f"team-{n % 7}.orders.{n}": QueueSpec(name=f"team-{n % 7}.orders.{n}") for n in range(400)}
        bindings = tuple(BindingSpec(source="shop", destination=each, routing_key=each) for each in queues)
        topology = Topology(version=1, queues=queues, bindings=bindings)
        assert len(to_tags(json.dumps({"topology": written(topology)}))) < 50


class TestPredefined:
    def options(self, region: Region) -> dict[str, object]:
        """Of a queue that somebody else has made."""
        url = region.calls.sqs("create_queue", QueueName=f"{region.prefix}theirs")["QueueUrl"]
        return {"predefined_queues": {QUEUE: {"url": url}}}

    def test_a_queue_is_used_without_any_right_to_make_one(self, region: Region) -> None:
        with Connection(region.url(), transport_options=self.options(region)) as connection:
            orders = Queue(QUEUE)(connection)
            orders.declare()
            connection.Producer().publish({"id": 1}, routing_key=QUEUE)
            got = orders.get()
            assert got is not None
            assert got.payload == {"id": 1}
            got.ack()
            connection.default_channel.close()
            asked = connection.billed_requests() or {}
        assert set(asked) <= {"GetQueueAttributes", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"}

    def test_nothing_else_is_made_or_deleted(self, region: Region) -> None:
        with Connection(region.url(), transport_options=self.options(region)) as connection:
            for refused in (
                lambda: Queue("other")(connection.channel()).declare(),
                lambda: Exchange("shop")(connection.channel()).declare(),
                lambda: Queue(QUEUE)(connection.channel()).bind_to("amq.direct", "key"),
                lambda: Queue(QUEUE)(connection.channel()).delete(),
            ):
                with pytest.raises(AccessRefused, match="predefined_queues"):
                    refused()

    def test_a_url_that_leads_nowhere_is_told_when_connecting(self, region: Region) -> None:
        options = {"predefined_queues": {QUEUE: {"url": f"http://127.0.0.1:{region.port}/000000000000/nowhere"}}}
        with pytest.raises(KombuError, match="GetQueueAttributes"):
            Connection(region.url(), transport_options=options).connect()


class TestForeignMessages:
    @pytest.mark.parametrize("text", ["<order/>", "no JSON {", "📦", "eyJib2R5IjogIngifQ=="])
    def test_what_others_sent_is_handed_on_as_bytes(self, connection: Connection, region: Region, text: str) -> None:
        orders = Queue(QUEUE)(connection)
        orders.declare()
        attributes = {"team": {"DataType": "String", "StringValue": "shop"}}
        url = url_of(region, QUEUE)
        region.calls.sqs("send_message", QueueUrl=url, MessageBody=text, MessageAttributes=attributes)
        received: list[Message] = []
        with connection.Consumer(orders, on_message=received.append, accept=["application/octet-stream"]):
            connection.drain_events(timeout=10)
        [found] = received
        assert (found.body, found.headers, found.content_type) == (
            text.encode(),
            {"team": "shop"},
            "application/octet-stream",
        )
        found.ack()

    def test_others_read_the_body_as_it_is(self, connection: Connection, region: Region) -> None:
        Queue(QUEUE)(connection).declare()
        connection.Producer().publish({"id": 7}, routing_key=QUEUE)
        answer = region.calls.sqs("receive_message", QueueUrl=url_of(region, QUEUE))
        assert json.loads(answer["Messages"][0]["Body"]) == {"id": 7}

    def test_a_queue_tells_its_real_name(self, connection: Connection, region: Region) -> None:
        Queue("größe/📦")(connection).declare()
        names = {
            real_name(region.calls.sqs("list_queue_tags", QueueUrl=url).get("Tags", {})) for url in region.queue_urls()
        }
        assert "größe/📦" in names

    def test_a_queue_that_is_there_already_is_taken_as_it_is(self, connection: Connection, region: Region) -> None:
        region.calls.sqs("create_queue", QueueName=region.prefix + QUEUE, Attributes={"MessageRetentionPeriod": "600"})
        Queue(QUEUE)(connection).declare()
        connection.Producer().publish(1, routing_key=QUEUE)
        attributes = region.attributes(url_of(region, QUEUE))
        assert (attributes["MessageRetentionPeriod"], attributes["ApproximateNumberOfMessages"]) == ("600", "1")

    def test_a_queue_is_made_with_the_attributes_and_tags_that_are_asked_for(self, region: Region) -> None:
        options = {
            "sqs-creation-attributes": {"KmsMasterKeyId": "alias/aws/sqs"},
            "queue_tags": {"team": "shop"},
        }
        with Connection(region.url(), transport_options=options) as connection:
            Queue(QUEUE)(connection).declare()
        url = url_of(region, QUEUE)
        assert region.attributes(url)["KmsMasterKeyId"] == "alias/aws/sqs"
        assert region.attributes(url)["MessageRetentionPeriod"] == "1209600"
        assert region.calls.sqs("list_queue_tags", QueueUrl=url)["Tags"]["team"] == "shop"


class TestDeletedElsewhere:
    """At the console of AWS, where nobody knows of our topology."""

    def test_a_publisher_is_told(self, connection: Connection, region: Region) -> None:
        Queue(QUEUE)(connection).declare()
        region.calls.sqs("delete_queue", QueueUrl=url_of(region, QUEUE))
        with pytest.raises(NotFound, match="'orders' is declared, but was deleted at AWS"):
            connection.Producer().publish(1, routing_key=QUEUE)

    def test_a_consumer_is_told(self, connection: Connection, region: Region) -> None:
        orders = Queue(QUEUE)(connection)
        orders.declare()
        with connection.Consumer(orders, on_message=print):
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.2)
            region.calls.sqs("delete_queue", QueueUrl=url_of(region, QUEUE))
            with pytest.raises(NotFound, match="deleted at AWS"):
                connection.drain_events(timeout=20)

    def test_it_can_be_declared_again(self, connection: Connection, region: Region) -> None:
        orders = Queue(QUEUE)(connection)
        orders.declare()
        region.calls.sqs("delete_queue", QueueUrl=url_of(region, QUEUE))
        orders.delete()
        orders.declare()
        connection.Producer().publish(1, routing_key=QUEUE)
        assert orders.get() is not None


class TestRedrive:
    ARGUMENTS = {"x-delivery-limit": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}

    def test_aws_moves_what_other_programs_give_up(self, region: Region) -> None:
        with Connection(region.url(redrive=True)) as connection:
            Queue("dead")(connection).declare()
            Queue(QUEUE, queue_arguments=self.ARGUMENTS)(connection).declare()
            connection.Producer().publish("poison", routing_key=QUEUE)
            url = url_of(region, QUEUE)
            for _ in range(3):
                region.calls.sqs("receive_message", QueueUrl=url, VisibilityTimeout=0)
            dead = Queue("dead")(connection).get()
            assert dead is not None
            assert dead.payload == "poison"

    def test_its_target_is_declared_first(self, region: Region) -> None:
        with Connection(region.url(redrive=True)) as connection, pytest.raises(PreconditionFailed, match="'dead'"):
            Queue(QUEUE, queue_arguments=self.ARGUMENTS)(connection).declare()


class TestBills:
    def test_a_connection_tells_what_it_asked_for(self, connection: Connection) -> None:
        Queue(QUEUE)(connection).declare()
        connection.Producer().publish_many(list(range(15)), routing_key=QUEUE)
        billed = connection.billed_requests()
        assert billed is not None
        assert (billed["SendMessageBatch"], billed["CreateQueue"]) == (2, 2), "one queue is for the topology"
        connection.statistics([QUEUE])
        more = connection.billed_requests()
        assert more is not None
        assert more["GetQueueAttributes"] == billed.get("GetQueueAttributes", 0) + 1

    def test_where_nobody_bills_requests_there_are_none(self) -> None:
        with Connection("memory://") as connection:
            assert connection.billed_requests() is None

    def test_draining_a_full_queue_takes_a_quarter_of_a_request_for_a_message_at_most(self, region: Region) -> None:
        count = 400
        with Connection(region.url(topology_check=10)) as connection:
            orders = Queue(QUEUE)(connection)
            orders.declare()
            connection.Producer().publish_many(list(range(count)), routing_key=QUEUE)
        with Connection(region.url(topology_check=10)) as connection:
            received: list[object] = []

            def handle(message: Message) -> None:
                received.append(message.payload)
                message.ack()

            with connection.Consumer(orders, on_message=handle):
                while len(received) < count:
                    connection.drain_events(timeout=10)
            connection.channel().queue_declare(QUEUE, passive=True)  # the acknowledgements are written
            billed = connection.billed_requests() or {}
        assert sorted(map(int, map(str, received))) == list(range(count))
        assert sum(billed.values()) / count <= 0.25, billed

    def test_publishing_many_takes_a_request_for_ten(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name=QUEUE))
        store.put([(QUEUE, message(str(n))) for n in range(95)])
        assert store.billed_requests()["SendMessageBatch"] == 10

    def test_every_64_kibibytes_are_billed_as_a_request(self, store: SQSStore) -> None:
        store.declare(QueueSpec(name=QUEUE))
        before = store.billed_requests()
        store.put([(QUEUE, message("large", body=b"x" * 200_000))])
        take(store)
        after = store.billed_requests()
        assert after["SendMessageBatch"] == 4
        assert after["ReceiveMessage"] - before["ReceiveMessage"] == 4

    def test_what_is_bound_is_not_asked_for_with_every_message(self, open_store: Callable[..., SQSStore]) -> None:
        store = open_store(topology_check=3600)
        store.declare(QueueSpec(name=QUEUE))
        version = store.topology().version
        before = store.billed_requests()["ListQueueTags"]
        for _ in range(5):
            store.put([(QUEUE, message("a"))], version)
        assert store.billed_requests()["ListQueueTags"] == before

    def test_a_message_that_nobody_wants_is_dropped_only_after_a_fresh_look(
        self, open_store: Callable[..., SQSStore], region: Region
    ) -> None:
        with Connection(region.url(topology_check=3600)) as publisher, Connection(region.url()) as other:
            shop = Exchange("shop")
            shop(publisher).declare()
            publisher.Producer().publish("nobody's", exchange=shop, routing_key="paid")
            Queue(QUEUE, shop, "paid")(other).declare()
            publisher.Producer().publish("mine", exchange=shop, routing_key="paid")
            got = Queue(QUEUE)(other).get()
            assert got is not None
            assert got.payload == "mine"


def test_a_role_is_taken(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    """By STS, whose address botocore reads from the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{region.port}")
    url = region.url(sts_role_arn="arn:aws:iam::000000000000:role/queues", region="eu-west-1")
    with closing(Connection(url)) as connection:
        Queue(QUEUE)(connection).declare()
        connection.Producer().publish(1, routing_key=QUEUE)
        inner = connection.connection
        assert isinstance(inner, VirtualConnection)
        store: Any = inner.store
        key = store._calls._client("sqs")._request_signer._credentials.access_key
        assert key != "key"
        Queue(QUEUE)(connection).delete()


def test_a_connection_that_is_refused_says_so(region: Region) -> None:
    with pytest.raises(ConnectionError):
        Region(port=1).store()
