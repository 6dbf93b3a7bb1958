"""A dead letter says where it died, why and how often, and can be sent back to where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import OperationalError
from kombu.transport.base import Publication
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Transport
from kombu.transport.virtual.deadletter import (
    Reason,
    dead_letter_target,
    dead_lettered,
    reason_not_to_deliver,
    restored,
)
from kombu.transport.virtual.head import decode_head, encode_head
from kombu.transport.virtual.store import Delivery, Envelope, Lease, Outcome, QueueSpec

NOW = 1_700_000_000.9
DESCRIBED = {"content_type": "application/json", "content_encoding": "utf-8", "message_id": "m1", "priority": 3}


def delivery(
    queue: str = "orders",
    exchange: str = "shop",
    key: str = "order.new",
    *,
    headers: object = None,
    count: int = 1,
    expired: bool = False,
    **properties: object,
) -> Delivery:
    described = {**DESCRIBED, **properties, **({"headers": headers} if headers is not None else {})}
    return Delivery(
        lease=Lease(queue, 1, 7),
        head=encode_head(exchange, key, described),
        body=b'{"id": 1}',
        priority=3,
        delivery_count=count,
        expired=expired,
    )


def died(
    message: Delivery, reason: Reason = "rejected", target: tuple[str, str] = ("dlx", "dead"), **options: Any
) -> Publication:
    return dead_lettered(message, reason, target, clock=lambda: NOW, **options)


def again(letter: Publication, queue: str) -> Delivery:
    """The dead letter as it is delivered from the queue it was moved into."""
    return Delivery(
        lease=Lease(queue, 2, 8),
        head=encode_head(letter.exchange, letter.routing_key, letter.content.properties),
        body=letter.content.body,
    )


def headers(letter: Publication) -> dict[str, Any]:
    found = letter.content.properties["headers"]
    assert isinstance(found, dict)
    return found


def spec(**arguments: object) -> QueueSpec:
    return QueueSpec(name="orders", arguments={name.replace("_", "-"): value for name, value in arguments.items()})


def test_a_dead_letter_says_where_it_died_when_and_why() -> None:
    letter = died(delivery())
    assert headers(letter)["x-death"] == [
        {
            "queue": "orders",
            "reason": "rejected",
            "exchange": "shop",
            "routing-keys": ["order.new"],
            "time": 1_700_000_000,
            "count": 1,
        }
    ]


def test_a_dead_letter_is_otherwise_the_message_it_was() -> None:
    letter = died(delivery(headers={"mine": "too"}, correlation_id="c1"))
    properties = dict(letter.content.properties)
    assert headers(letter)["mine"] == "too"
    del properties["headers"]
    assert properties == {**DESCRIBED, "correlation_id": "c1"}
    assert letter.content.body == b'{"id": 1}'
    assert (letter.exchange, letter.routing_key, letter.mandatory, letter.delay) == ("dlx", "dead", False, 0.0)


def test_the_message_itself_is_left_as_it_was() -> None:
    message = delivery(headers={"mine": "too"}, expiration="500")
    before = message.head
    died(message)
    assert message.head == before


def test_dying_again_of_the_same_in_the_same_queue_raises_the_count() -> None:
    first = died(delivery())
    second = died(again(first, "orders"))
    third = died(again(second, "orders"))
    assert [(death["queue"], death["count"]) for death in headers(third)["x-death"]] == [("orders", 3)]


def test_deaths_of_other_queues_and_reasons_stand_apart_latest_first() -> None:
    first = died(delivery())
    second = died(again(first, "orders"), "expired")
    third = died(again(second, "retries"), "expired")
    fourth = died(again(third, "orders"))
    assert [(death["queue"], death["reason"], death["count"]) for death in headers(fourth)["x-death"]] == [
        ("orders", "rejected", 2),
        ("retries", "expired", 1),
        ("orders", "expired", 1),
    ]


def test_the_first_death_is_remembered() -> None:
    second = died(again(died(delivery()), "dead"), "expired", ("", "attic"))
    assert headers(second)["x-first-death-queue"] == "orders"
    assert headers(second)["x-first-death-reason"] == "rejected"
    assert headers(second)["x-first-death-exchange"] == "shop"


def test_a_dead_letter_loses_its_expiration_which_x_death_keeps() -> None:
    letter = died(delivery(expiration="500"), "expired")
    assert "expiration" not in letter.content.properties
    assert headers(letter)["x-death"][0]["original-expiration"] == "500"


def test_a_message_without_expiration_has_none_in_its_death() -> None:
    assert "original-expiration" not in headers(died(delivery()))["x-death"][0]


def test_why_it_was_rejected_is_kept_with_it() -> None:
    assert headers(died(delivery(), because="no such customer"))["x-rejected-because"] == "no such customer"


def test_an_older_reason_is_not_taken_for_the_latest() -> None:
    letter = died(delivery(), because="no such customer")
    assert "x-rejected-because" not in headers(died(again(letter, "dead"), "expired"))


@pytest.mark.parametrize(
    "deaths",
    [
        "junk",
        7,
        {"queue": "orders"},
        ["junk", None],
        [{}],
        [{"queue": "orders", "reason": "rejected"}],
        [{"queue": "orders", "reason": "rejected", "count": "many"}],
        [{"queue": "orders", "reason": "rejected", "count": None}],
        [{"queue": "orders", "reason": "rejected", "count": [2]}],
    ],
)
def test_an_x_death_that_others_wrote_in_another_form_does_no_harm(deaths: object) -> None:
    latest = headers(died(delivery(headers={"x-death": deaths})))["x-death"][0]
    assert (latest["queue"], latest["reason"]) == ("orders", "rejected")
    assert latest["count"] >= 1


@pytest.mark.parametrize("junk", [["a"], "text", 7])
def test_headers_that_others_wrote_in_another_form_do_no_harm(junk: object) -> None:
    assert headers(died(delivery(headers=junk)))["x-death"][0]["queue"] == "orders"


def test_a_foreign_head_dies_like_any_other() -> None:
    letter = died(Delivery(lease=Lease("orders", 1, 7), head="<xml/>", body=b"raw"))
    assert headers(letter)["x-foreign-head"] == "<xml/>"
    assert headers(letter)["x-death"][0]["queue"] == "orders"
    assert letter.content.body == b"raw"


def test_a_restored_message_is_back_in_its_queue_with_its_exchange_and_key() -> None:
    queue, envelope = restored(again(died(delivery()), "dead"))
    head = decode_head(envelope.head)
    assert (queue, head.exchange, head.routing_key) == ("orders", "shop", "order.new")
    assert (envelope.body, envelope.delay, envelope.ttl) == (b'{"id": 1}', 0.0, None)


def test_a_restored_message_keeps_its_properties_and_its_story() -> None:
    letter = died(delivery(headers={"mine": "too"}, correlation_id="c1"))
    _, envelope = restored(again(letter, "dead"))
    head = decode_head(envelope.head)
    assert (head.content_type, head.content_encoding) == ("application/json", "utf-8")
    assert head.properties == {"message_id": "m1", "priority": 3, "correlation_id": "c1"}
    assert head.headers == headers(letter)


def test_a_letter_that_died_twice_goes_back_one_step() -> None:
    twice = died(again(died(delivery()), "dead"), "expired", ("", "attic"))
    queue, envelope = restored(again(twice, "attic"))
    head = decode_head(envelope.head)
    assert (queue, head.exchange, head.routing_key) == ("dead", "dlx", "dead")


@pytest.mark.parametrize("deaths", [None, "junk", [], ["junk"], 7])
def test_a_message_that_never_died_stays_where_it_is(deaths: object) -> None:
    queue, envelope = restored(delivery(headers={"x-death": deaths}))
    head = decode_head(envelope.head)
    assert (queue, head.exchange, head.routing_key) == ("orders", "shop", "order.new")
    assert envelope.priority == 3


@pytest.mark.parametrize("keys", [None, [], "order.new", 7, [None]])
def test_a_death_with_junk_for_its_routing_keys_does_no_harm(keys: object) -> None:
    death = {"queue": "orders", "exchange": "shop", "routing-keys": keys}
    queue, envelope = restored(delivery("dead", "dlx", "order.new", headers={"x-death": [death]}))
    assert queue in ("orders", "dead")
    assert decode_head(envelope.head).routing_key == "order.new"


@pytest.mark.parametrize(
    ("queue", "target"),
    [
        (spec(), None),
        (spec(x_dead_letter_routing_key="dead"), None),
        (spec(x_dead_letter_exchange="dlx"), ("dlx", "order.new")),
        (spec(x_dead_letter_exchange="dlx", x_dead_letter_routing_key="dead"), ("dlx", "dead")),
        (spec(x_dead_letter_exchange="", x_dead_letter_routing_key="dead"), ("", "dead")),
        (spec(x_dead_letter_exchange="dlx", x_dead_letter_routing_key=""), ("dlx", "")),
    ],
)
def test_dead_letters_go_where_the_queue_says_by_default_with_their_own_key(
    queue: QueueSpec, target: tuple[str, str] | None
) -> None:
    assert dead_letter_target(queue, decode_head(delivery().head)) == target


@pytest.mark.parametrize(
    ("limit", "count", "reason"),
    [
        (None, 1000, None),
        (0, 1, None),
        (0, 2, "delivery_limit"),
        (2, 1, None),
        (2, 3, None),
        (2, 4, "delivery_limit"),
    ],
)
def test_a_delivery_limit_is_how_often_a_message_may_come_back(
    limit: int | None, count: int, reason: str | None
) -> None:
    queue = spec() if limit is None else spec(x_delivery_limit=limit)
    assert reason_not_to_deliver(delivery(count=count), queue) == reason


def test_an_expired_message_is_not_delivered_whatever_its_queue_says() -> None:
    assert reason_not_to_deliver(delivery(expired=True), spec()) == "expired"
    assert reason_not_to_deliver(delivery(expired=True), None) == "expired"
    assert reason_not_to_deliver(delivery(expired=True, count=9), spec(x_delivery_limit=1)) == "expired"


def test_a_message_of_a_queue_that_is_not_known_may_be_delivered() -> None:
    assert reason_not_to_deliver(delivery(count=9), None) is None


@pytest.fixture
def name() -> Iterator[str]:
    name = uuid4().hex
    yield name
    MemoryStore.reset(name)


Connect = Callable[..., Connection]


@pytest.fixture
def connect(name: str) -> Iterator[Connect]:
    """Each call opens another connection to the same queues; those of ``letters`` die into ``dead``."""
    with ExitStack() as stack:

        def connect(store: MemoryStore | None = None, /, *, declare: bool = True, **options: object) -> Connection:
            class Wrapped(Transport):
                def make_store(self) -> MemoryStore:
                    return store or MemoryStore(name)

            made = Connection("memory://", transport=Wrapped, transport_options=options)
            return stack.enter_context(made)

        yield connect


def letters(connection: Connection, **arguments: object) -> list[Message]:
    """A queue ``letters`` that dies into the queue ``dead``, with a consumer; what that is given."""
    Queue("dead")(connection).declare()
    seen: list[Message] = []
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    target = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    queue = Queue("letters", queue_arguments={**target, **named})
    Consumer(connection.channel(), queue, on_message=seen.append).consume()
    return seen


def publish(connection: Connection, *bodies: object, **options: Any) -> None:
    connection.Producer().publish_many(bodies, routing_key="letters", **options)


def nothing_comes(connection: Connection) -> None:
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0)


def dead(name: str) -> list[tuple[bytes, str, str]]:
    """Body, queue and reason of each dead letter; nobody but the store is asked."""
    browsed = MemoryStore(name).browse("dead", 100)
    deaths = [(each.body, decode_head(each.head).headers["x-death"][0]) for each in browsed]
    return [(body, death["queue"], death["reason"]) for body, death in deaths]


def test_a_rejected_message_goes_to_the_dead_letter_exchange(connect: Connect, name: str) -> None:
    connection = connect()
    seen = letters(connection)
    publish(connection, b"bad")
    connection.drain_events(timeout=0)
    seen[0].reject(because="no such customer")
    connection.close()
    assert dead(name) == [(b"bad", "letters", "rejected")]
    letter = Queue("dead")(connect()).get()
    assert letter is not None
    assert letter.headers["x-rejected-because"] == "no such customer"
    assert (letter.delivery_info["delivery_count"], letter.delivery_info["redelivered"]) == (1, False)


def test_what_comes_back_too_often_goes_to_the_dead_letter_exchange(connect: Connect, name: str) -> None:
    connection = connect()
    seen = letters(connection, x_delivery_limit=2)
    publish(connection, b"poison")
    for _ in range(3):
        connection.drain_events(timeout=0)
        seen[-1].requeue()
    nothing_comes(connection)
    connection.close()
    assert [message.delivery_info["delivery_count"] for message in seen] == [1, 2, 3]
    assert dead(name) == [(b"poison", "letters", "delivery_limit")]


@pytest.mark.parametrize("found_by", ["the sweep", "a claim"])
@pytest.mark.parametrize("lives", ["as it says", "as its queue says"])
def test_what_lived_too_long_goes_to_the_dead_letter_exchange_and_stays_there(
    found_by: str, lives: str, connect: Connect, name: str
) -> None:
    connection = connect()
    if lives == "as it says":
        seen, expiration = letters(connection), 0.0
    else:
        seen, expiration = letters(connection, x_message_ttl=0), None
    if found_by == "a claim":
        nothing_comes(connection)
    publish(connection, b"old", expiration=expiration)
    nothing_comes(connection)
    connection.close()
    assert (seen, dead(name)) == ([], [(b"old", "letters", "expired")])
    letter = Queue("dead")(connect()).get()
    assert letter is not None
    assert "expiration" not in letter.properties


def test_what_expires_where_nobody_consumes_is_dead_lettered_too(connect: Connect, name: str) -> None:
    letters(leaving := connect())
    publish(leaving, b"old", expiration=0)
    leaving.close()
    connection = connect()
    Queue("other")(connection).declare()
    Queue("other")(connection).consume()
    nothing_comes(connection)
    connection.close()
    assert dead(name) == [(b"old", "letters", "expired")]


def test_dead_letters_follow_a_binding_that_another_connection_made(connect: Connect, name: str) -> None:
    connection, other = connect(), connect()
    other.default_channel.exchange_declare("dlx", "fanout")
    seen = letters(connection, x_dead_letter_exchange="dlx")
    publish(connection, b"bad")
    connection.drain_events(timeout=0)
    other.default_channel.queue_bind("dead", "dlx")
    seen[0].reject()
    connection.close()
    assert dead(name) == [(b"bad", "letters", "rejected")]


def test_a_message_that_only_goes_round_in_a_circle_is_dropped(connect: Connect, name: str) -> None:
    """https://www.rabbitmq.com/docs/dlx: one that reaches a queue again without having been rejected on its way."""

    class Bounded(MemoryStore):
        claims = 0

        def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
            self.claims += 1
            assert self.claims < 100, "the message goes round and round"
            return super().claim(wants, lease)

    connection = connect(Bounded(name))
    letters(connection, x_dead_letter_routing_key="letters", x_message_ttl=0)
    publish(connection, b"round")
    nothing_comes(connection)
    nothing_comes(connection)
    assert MemoryStore(name).counts(["letters"])["letters"].total == 0


@pytest.mark.parametrize(
    "head",
    [
        "not json",
        '{"exchange": null, "routing_key": 5, "properties": {}}',
        '{"exchange": "", "routing_key": "", "properties": {"headers": ["a"]}}',
        '{"exchange": "", "routing_key": "", "properties": {"headers": {"x-death": [{"count": "many"}]}}}',
        '{"exchange": "", "routing_key": "", "properties": {"x": NaN}}',
        '{"exchange": "", "routing_key": "", "properties": {"x": "\\ud800"}}',
        '{"exchange": "", "routing_key": "", "properties": {"expiration": "soon", "priority": "high"}}',
    ],
)
def test_a_foreign_message_dies_like_any_other_and_takes_none_along(head: str, connect: Connect, name: str) -> None:
    connection = connect()
    seen = letters(connection)
    nothing_comes(connection)
    foreign, good = Envelope(head=head, body=b"raw", ttl=0), Envelope(head="", body=b"good")
    MemoryStore(name).put([("letters", foreign), ("letters", good)])
    connection.drain_events(timeout=0)
    connection.close()
    assert [message.body for message in seen] == [b"good"]
    assert dead(name) == [(b"raw", "letters", "expired")]


@pytest.mark.parametrize("found_by", ["the sweep", "a claim"])
def test_an_error_on_the_way_to_the_dead_letters_loses_none_of_the_others(
    found_by: str, connect: Connect, name: str
) -> None:
    class Fails(MemoryStore):
        fails = False

        def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
            if self.fails:
                self.fails = False
                raise OperationalError("the disk is full")
            return super().settle(outcomes)

    store = Fails(name)
    connection = connect(store, settle_delay=0)
    seen = letters(connection)
    if found_by == "a claim":
        nothing_comes(connection)
    publish(connection, b"old", b"older", expiration=0)
    publish(connection, b"good")
    store.fails = True
    with pytest.raises(OperationalError, match="disk is full"):
        connection.drain_events(timeout=0)
    connection.drain_events(timeout=0)
    assert [message.body for message in seen] == [b"good"]
    assert [body for body, _, _ in dead(name)] == [b"old", b"older"]
