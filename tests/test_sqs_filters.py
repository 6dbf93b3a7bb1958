"""A binding as a filter of SNS lets through exactly what the binding does, or nothing at all."""

from __future__ import annotations

import pytest

pytest.importorskip("boto3")

from kombu.transport.sqs.filters import as_filter, reached, wanted
from kombu.transport.sqs.topics import Topic, read, topic_for, written
from kombu.transport.virtual.routing import topic_matches
from kombu.transport.virtual.store import QueueSpec
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology

PATTERNS = (
    "#",
    "a",
    "a.b",
    "a.#",
    "#.b",
    "a.b.#",
    "#.a.b",
    "*",
    "a.*",
    "*.b",
    "a.*.b",
    "#.a.#",
    "a.#.b",
    "*.#",
    "",
    "ä.#",
)
SPOKEN = ("#", "a", "a.b", "a.#", "#.b", "a.b.#", "#.a.b")
KEYS = ("", "a", "b", "ab", "a.b", "aa.b", "a.bb", "a.b.c", "c.a.b", "a.c.b", "x.y", "a.", ".b", "b.a.b", "ä.b")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_topic_binding_lets_through_the_same_keys_or_none(pattern: str) -> None:
    found = as_filter("topic", pattern)
    assert found.says_something == (pattern in SPOKEN)
    if found.says_something:
        assert {key: found.lets_through(key) for key in KEYS} == {key: topic_matches(pattern, key) for key in KEYS}


def test_the_policy_is_what_sns_reads() -> None:
    both = as_filter("topic", "order.#") | as_filter("topic", "#.paid")
    assert both.policy == '{"kombu.key":["order","paid",{"prefix":"order."},{"suffix":".paid"}]}'
    assert (both | as_filter("fanout", "")).policy == "{}"


def test_a_direct_binding_is_its_key() -> None:
    assert as_filter("direct", "a.#").exact == {"a.#"} or not as_filter("direct", "a.#").says_something
    assert as_filter("direct", "paid").policy == '{"kombu.key":["paid"]}'
    assert not as_filter("direct", 'quo"te').says_something


def topology(*bindings: BindingSpec) -> Topology:
    exchanges = {name: ExchangeSpec(name=name, type=name) for name in ("fanout", "direct", "topic", "headers")}
    queues = {name: QueueSpec(name=name) for name in ("red", "blue", "green.fifo")}
    return Topology(exchanges=exchanges, queues=queues, bindings=bindings)


def test_a_queue_has_one_subscription_for_all_its_bindings() -> None:
    found = wanted(
        topology(
            BindingSpec(source="topic", destination="red", routing_key="a.#"),
            BindingSpec(source="topic", destination="red", routing_key="a.*.b"),
            BindingSpec(source="topic", destination="red", routing_key="paid"),
            BindingSpec(source="topic", destination="blue", routing_key="a.*"),
            BindingSpec(source="fanout", destination="green.fifo"),
            BindingSpec(source="fanout", destination="topic", to_exchange=True),
            BindingSpec(source="headers", destination="red"),
        )
    )
    assert set(found) == {"topic"}
    assert set(found["topic"]) == {"red"}
    assert reached(found["topic"], "a.x") == {"red"}


def test_too_many_keys_for_one_policy_are_not_subscribed() -> None:
    many = [BindingSpec(source="direct", destination="red", routing_key=str(n)) for n in range(151)]
    assert wanted(topology(*many)) == {}


def test_a_topic_is_used_only_for_what_it_does_exactly() -> None:
    filters = {"red": as_filter("topic", "a.#"), "blue": as_filter("topic", "#")}
    topics = {"shop": Topic("arn:1", 100.0, {"red": "s1", "blue": "s2"}, filters)}
    assert topic_for(topics, "shop", "a.b", {"red", "blue"}, 200.0) is topics["shop"]
    assert topic_for(topics, "shop", "b", {"red", "blue"}, 200.0) is None
    assert topic_for(topics, "shop", "a.b", {"red", "blue", "green"}, 200.0) is None
    assert topic_for(topics, "shop", "a.b", {"red", "blue"}, 99.0) is None, "SNS may not filter so yet"
    assert topic_for(topics, "mall", "a.b", {"red", "blue"}, 200.0) is None
    assert read(written(topics)) == topics
