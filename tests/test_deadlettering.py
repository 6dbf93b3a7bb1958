"""What cannot be delivered, or is rejected, goes to the dead-letter exchange of its queue and takes none along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.head import decode_head
from kombu.transport.virtual.store import Delivery, Envelope, Outcome
from tests.memory import Connect, counts, nothing_comes, publish, take, transport_over


def letters(connection: Connection, **arguments: object) -> list[Message]:
    """A queue ``letters`` that dies into the queue ``dead``, with a consumer; what that is given."""
    Queue("dead")(connection).declare()
    seen: list[Message] = []
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    target = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    queue = Queue("letters", queue_arguments={**target, **named})
    Consumer(connection.channel(), queue, on_message=seen.append).consume()
    return seen


def dead(name: str) -> list[tuple[bytes, str, str]]:
    """Body, queue and reason of each dead letter; nobody but the store is asked."""
    browsed = MemoryStore(name).browse("dead", 100)
    deaths = [(each.body, decode_head(each.head).headers["x-death"][0]) for each in browsed]
    return [(body, death["queue"], death["reason"]) for body, death in deaths]


def test_a_rejected_message_goes_to_the_dead_letter_exchange(connect: Connect, name: str) -> None:
    connection = connect()
    seen = letters(connection)
    publish(connection, b"bad", queue="letters")
    connection.drain_events(timeout=0)
    seen[0].reject(because="no such customer")
    connection.close()
    assert dead(name) == [(b"bad", "letters", "rejected")]
    letter = take(connect(), "dead")
    assert letter.headers["x-rejected-because"] == "no such customer"
    assert (letter.delivery_info["delivery_count"], letter.delivery_info["redelivered"]) == (1, False)


def test_what_comes_back_too_often_goes_to_the_dead_letter_exchange(connect: Connect, name: str) -> None:
    connection = connect()
    seen = letters(connection, x_delivery_limit=2)
    publish(connection, b"poison", queue="letters")
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
    publish(connection, b"old", expiration=expiration, queue="letters")
    nothing_comes(connection)
    connection.close()
    assert (seen, dead(name)) == ([], [(b"old", "letters", "expired")])
    letter = take(connect(), "dead")
    assert "expiration" not in letter.properties


def test_what_expires_where_nobody_consumes_is_dead_lettered_too(connect: Connect, name: str) -> None:
    letters(leaving := connect())
    publish(leaving, b"old", expiration=0, queue="letters")
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
    publish(connection, b"bad", queue="letters")
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

    connection = connect(transport=transport_over(lambda: Bounded(name)))
    letters(connection, x_dead_letter_routing_key="letters", x_message_ttl=0)
    publish(connection, b"round", queue="letters")
    nothing_comes(connection)
    nothing_comes(connection)
    assert counts(name, "letters").total == 0


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
    connection = connect(transport=transport_over(lambda: store), transport_options={"settle_delay": 0})
    seen = letters(connection)
    if found_by == "a claim":
        nothing_comes(connection)
    publish(connection, b"old", b"older", expiration=0, queue="letters")
    publish(connection, b"good", queue="letters")
    store.fails = True
    with pytest.raises(OperationalError, match="disk is full"):
        connection.drain_events(timeout=0)
    connection.drain_events(timeout=0)
    assert [message.body for message in seen] == [b"good"]
    assert [body for body, _, _ in dead(name)] == [b"old", b"older"]
