"""Exchanges as topics of SNS: one request for a message that many queues get.

What is subscribed stands beside the topology, in the same tags. A publisher uses a topic only for a message that SNS
gives to exactly the queues that the topology says, and only once a change of filters has had the time that SNS takes
for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kombu.exceptions import NotFound, PreconditionFailed
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.filters import Filter, reached, wanted
from kombu.transport.sqs.names import is_fifo, mapped
from kombu.transport.sqs.queues import Queues
from kombu.transport.virtual.topology import Topology
from kombu.utils import json

_STATEMENT = "kombu-topics"


@dataclass(frozen=True, slots=True)
class Topic:
    """``subscriptions`` are their ARNs by queue, ``filters`` what they let through; ``since``: of the last change that
    SNS takes its time for, seconds since 1970."""

    arn: str
    since: float = 0.0
    subscriptions: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)


Topics = Mapping[str, Topic]


def written(topics: Topics) -> dict[str, Any]:
    """As JSON."""
    return {
        exchange: [
            topic.arn,
            topic.since,
            {
                queue: [
                    topic.subscriptions[queue],
                    each.everything,
                    sorted(each.exact),
                    sorted(each.prefixes),
                    sorted(each.suffixes),
                ]
                for queue, each in topic.filters.items()
            },
        ]
        for exchange, topic in topics.items()
    }


def read(found: Mapping[str, Any]) -> Topics:
    """What :func:`written` wrote."""
    return {
        exchange: Topic(
            arn,
            since,
            {queue: said[0] for queue, said in queues.items()},
            {queue: Filter(said[1], *map(frozenset, said[2:])) for queue, said in queues.items()},
        )
        for exchange, (arn, since, queues) in found.items()
    }


def topic_for(topics: Topics, exchange: str, key: str, queues: set[str], settled: float) -> Topic | None:
    """The one to publish to, if that has the same effect as sending to each of these queues.

    ``settled``: changes after this moment may not be in force yet.
    """
    topic = topics.get(exchange)
    if topic is None or topic.since > settled or reached(topic.filters, key) != queues:
        return None
    return topic


def topic_name(exchange: str, prefix: str) -> str:
    """As queues are called, but never a FIFO topic's: no name has the character NUL, so this is no other exchange's."""
    return mapped(f"{exchange}\0" if is_fifo(exchange) else exchange, prefix)


class Subscriptions:
    """Makes SNS agree with the topology. Only for who may change that: under the lock."""

    def __init__(self, calls: Calls, queues: Queues) -> None:
        self._calls = calls
        self._queues = queues
        self._prefix = calls.settings.queue_name_prefix

    def follow(self, topology: Topology, topics: Topics) -> Topics:
        """Answers what is subscribed now."""
        wants = wanted(topology)
        kept = {exchange: self._agree(exchange, topics.get(exchange), filters) for exchange, filters in wants.items()}
        for exchange in topics.keys() - wants.keys():
            self._ask("delete_topic", TopicArn=topics[exchange].arn)
        return kept

    def _agree(self, exchange: str, topic: Topic | None, filters: Mapping[str, Filter]) -> Topic:
        if topic is None:
            topic = Topic(str(self._calls.sns("create_topic", Name=topic_name(exchange, self._prefix))["TopicArn"]))
        subscriptions, since = dict(topic.subscriptions), topic.since
        for queue in topic.filters.keys() - filters.keys():
            self._ask("unsubscribe", SubscriptionArn=subscriptions.pop(queue))
            since = self._calls.clock.now()
        for queue, each in filters.items():
            if topic.filters.get(queue) == each:
                continue
            if queue in subscriptions:
                self._change(subscriptions[queue], each)
            else:
                subscriptions[queue] = self._subscribe(topic.arn, queue, each)
            if queue in topic.filters or not each.everything:
                since = self._calls.clock.now()
        return replace(topic, since=since, subscriptions=subscriptions, filters=dict(filters))

    def _subscribe(self, topic: str, queue: str, each: Filter) -> str:
        attributes = {"RawMessageDelivery": "true"}
        if not each.everything:
            attributes["FilterPolicy"] = each.policy
        arn = self._allow(topic, queue)
        there: dict[str, Any] = {
            "TopicArn": topic,
            "Protocol": "sqs",
            "Endpoint": arn,
            "ReturnSubscriptionArn": True,
        }
        try:
            return str(self._calls.sns("subscribe", **there, Attributes=attributes)["SubscriptionArn"])
        except PreconditionFailed:  # somebody died after subscribing it otherwise
            subscription = str(self._calls.sns("subscribe", **there)["SubscriptionArn"])
            self._change(subscription, each)
            return subscription

    def _change(self, subscription: str, each: Filter) -> None:
        self._calls.sns(
            "set_subscription_attributes",
            SubscriptionArn=subscription,
            AttributeName="FilterPolicy",
            AttributeValue=each.policy,
        )

    def _allow(self, topic: str, queue: str) -> str:
        """Let topics of this prefix send to the queue, beside whom others let. Answers the queue's ARN."""
        attributes = self._queues.attributes(queue, "QueueArn", "Policy")
        arn = attributes["QueueArn"]
        policy: Any = json.loads(attributes.get("Policy") or "{}")
        statements = policy.setdefault("Statement", [])
        if not any(each.get("Sid") == _STATEMENT for each in statements):
            source = f"{topic.rpartition(':')[0]}:{self._prefix}*"
            statements.append(
                {
                    "Sid": _STATEMENT,
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": arn,
                    "Condition": {"ArnLike": {"aws:SourceArn": source}},
                }
            )
            policy.setdefault("Version", "2012-10-17")
            self._calls.sqs(
                "set_queue_attributes", QueueUrl=self._queues.url(queue), Attributes={"Policy": json.dumps(policy)}
            )
        return arn

    def _ask(self, action: str, **parameters: Any) -> None:
        """What is gone already need not be removed."""
        try:
            self._calls.sns(action, **parameters)
        except NotFound:
            return
