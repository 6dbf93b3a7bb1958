"""A dead letter says where it died, why and how often, and can be sent back to where it came from."""

from __future__ import annotations

from typing import Any

import pytest

from kombu.transport.base import Publication
from kombu.transport.virtual.deadletter import (
    Reason,
    dead_letter_target,
    dead_lettered,
    reason_not_to_deliver,
    restored,
)
from kombu.transport.virtual.head import decode_head, encode_head
from kombu.transport.virtual.store import Delivery, Lease, QueueSpec

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
