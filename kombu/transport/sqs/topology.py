"""Exchanges, queues and bindings in the tags of a queue that is there for nothing else; changed under its lock."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from kombu.exceptions import AccessRefused, InconsistencyError
from kombu.retry import RetryPolicy
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing, Throttled
from kombu.transport.sqs.lock import QueueLock
from kombu.transport.sqs.names import FIFO, TOPOLOGY
from kombu.transport.sqs.queues import Queues
from kombu.transport.sqs.tags import Torn, from_tags, to_tags
from kombu.transport.sqs.topics import Subscriptions, Topics, read, written
from kombu.transport.virtual.document import DocumentTopology, read_topology
from kombu.transport.virtual.store import Capabilities, QueueSpec, TopologyMoved
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology
from kombu.utils import json

_READINGS = 20
_PAUSES = RetryPolicy(interval_start=0.05, interval_step=0.05, interval_max=1.0, jitter=0.5)


class Seen(NamedTuple):
    """What the tags said, and when. ``mortal``: the queues that messages with a time to live of their own were put into
    and whose dead letters go somewhere, so that somebody has to look for them."""

    text: str = ""
    version: int = 0
    topics: Topics = {}
    mortal: frozenset[str] = frozenset()
    at: float = 0.0


class TaggedTopology(DocumentTopology[int]):
    """What the store knows of it, without the messages."""

    capabilities = Capabilities(name="sqs")

    def __init__(self, calls: Calls, queues: Queues) -> None:
        self._calls = calls
        self._queues = queues
        self._check_every = calls.settings.topology_check
        self._lock = QueueLock(calls)
        self._subscriptions = Subscriptions(calls, queues) if calls.settings.supports_fanout else None
        self._url: str | None = None
        self._seen: Seen | None = None

    def topology(self) -> Topology:
        return read_topology(self._read().text, "sqs")

    def last_topology(self) -> Topology:
        """As last seen."""
        return read_topology((self._seen or self._read()).text, "sqs")

    def last_topics(self) -> Topics:
        """What is subscribed at SNS, as last seen."""
        return (self._seen or self._read()).topics

    @property
    def mortal(self) -> frozenset[str]:
        """As last seen: where there may be messages with a time to live of their own."""
        return (self._seen or self._read()).mortal

    def expect_mortal(self, queue: str) -> None:
        """Let everybody who keeps house look for expired messages in it, if anything becomes of them."""
        spec = self.last_topology().queues.get(queue)
        if spec is None or "x-dead-letter-exchange" not in spec.arguments or "x-message-ttl" in spec.arguments:
            return
        if queue not in self.mortal:
            with self._lock.held(self._made()):
                seen = self._read()
                self._write(seen._replace(mortal=seen.mortal | {queue}))

    def check_version(self, version: int | None, strict: bool) -> None:
        """Raises :class:`TopologyMoved` for another version than this. Unless ``strict``, one that was seen a short
        while ago is good enough: the question is a request, and AWS answers few of the kind in a second."""
        if version is None:
            return
        seen = self._seen
        if strict or seen is None or time.monotonic() - seen.at >= self._check_every:
            try:
                seen = self._read(patient=strict or seen is None)
            except Throttled:
                if strict or seen is None:
                    raise
                self._seen = seen = seen._replace(at=time.monotonic())
        if seen.version != version:
            raise TopologyMoved

    def read_document(self) -> tuple[str, int]:
        seen = self._read()
        return seen.text, seen.version

    def write_document(self, text: str, version: int, revision: int) -> bool:
        if not self._lock.safe:
            return False
        seen = self._seen or Seen()
        topology = read_topology(text, "sqs")
        topics = seen.topics
        if self._subscriptions is not None:
            topics = self._subscriptions.follow(topology, topics)
        self._write(Seen(text, version, topics, seen.mortal & topology.queues.keys()))
        return True

    def _write(self, seen: Seen) -> None:
        document = json.dumps(
            {
                "version": seen.version,
                "topology": seen.text,
                "topics": written(seen.topics),
                "mortal": sorted(seen.mortal),
            }
        )
        self._calls.sqs("tag_queue", QueueUrl=self._made(), Tags=to_tags(document))
        self._seen = seen._replace(at=time.monotonic())

    def _change_once(self, edit: Callable[[Topology], Topology]) -> bool:
        """Under the lock, unless there is nothing to change."""
        seen = self.last_topology()
        if edit(seen) is seen and (now := self.topology()) is edit(now):
            return False
        with self._lock.held(self._made()):
            return super()._change_once(edit)

    def _read(self, patient: bool = True) -> Seen:
        text = self._read_text(patient)
        seen = self._seen = (_parsed(text) if text else Seen())._replace(at=time.monotonic())
        return seen

    def _read_text(self, patient: bool) -> str:
        """AWS answers few such questions in a second; for a writer half way one waits in any case."""
        url = self._found()
        if url is None:
            return ""
        for attempt in range(1, _READINGS):
            try:
                return self._read_tags(url)
            except Torn:
                time.sleep(_PAUSES.delay(attempt))
            except Throttled:
                if not patient:
                    raise
                time.sleep(_PAUSES.delay(attempt))
        try:
            return self._read_tags(url)
        except Torn as exc:
            raise InconsistencyError(
                "transport 'sqs': the tags with the topology do not belong together: declare it again"
            ) from exc

    def _read_tags(self, url: str) -> str:
        try:
            return from_tags(self._calls.sqs("list_queue_tags", QueueUrl=url).get("Tags", {}))
        except QueueMissing:
            self._url = None
            return ""

    def _found(self) -> str | None:
        """The URL of the queue with the tags; None where nothing was ever declared."""
        if self._url is None:
            try:
                self._url = str(self._calls.sqs("get_queue_url", QueueName=self._name)["QueueUrl"])
            except QueueMissing:
                return None
        return self._url

    def _made(self) -> str:
        url = self._found()
        if url is None:
            attributes = {"FifoQueue": "true", "MessageRetentionPeriod": "1209600"}
            answer = self._calls.sqs(
                "create_queue", QueueName=self._name, Attributes=attributes, tags=dict(self._calls.settings.queue_tags)
            )
            url = self._url = str(answer["QueueUrl"])
            self._lock.make(url)
        return url

    @property
    def _name(self) -> str:
        return self._calls.settings.queue_name_prefix + TOPOLOGY + FIFO


class FixedTopology(TaggedTopology):
    """Of predefined queues: these, and the default exchange."""

    def topology(self) -> Topology:
        queues = {name: QueueSpec(name=name) for name in self._calls.settings.predefined_queues}
        return Topology(version=1, queues=queues)

    def last_topology(self) -> Topology:
        return self.topology()

    def last_topics(self) -> Topics:
        return {}

    @property
    def mortal(self) -> frozenset[str]:
        return frozenset()

    def expect_mortal(self, queue: str) -> None:
        """Dead letters go nowhere."""

    def check_version(self, version: int | None, strict: bool) -> None:
        """It never moves."""

    def declare(self, queue: QueueSpec) -> None:
        """These are."""

    def forget_queue(self, queue: str) -> bool:
        return False

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        raise _only_the_default(f"exchange {exchange.name!r}")

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        return False

    def bind(self, binding: BindingSpec) -> None:
        raise _only_the_default(f"binding to exchange {binding.source!r}")

    def unbind(self, binding: BindingSpec) -> None:
        """There is none."""


def _only_the_default(what: str) -> AccessRefused:
    return AccessRefused(f"{what}: transport 'sqs' has only the default exchange beside predefined_queues")


@lru_cache(maxsize=8)
def _parsed(text: str) -> Seen:
    document: Any = json.loads(text)
    topics, mortal = read(document["topics"]), frozenset(document["mortal"])
    return Seen(document["topology"], document["version"], topics, mortal)
