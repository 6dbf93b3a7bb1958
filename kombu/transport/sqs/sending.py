"""Sending: in batches of ten, to queues or through topics, and what it means when a part of it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from kombu.exceptions import KombuError, NotFound, NotSupported, OperationalError, PreconditionFailed, PublishUncertain
from kombu.retry import RetryPolicy
from kombu.transport.sqs.calls import Answer, Calls
from kombu.transport.sqs.errors import QueueMissing, is_uncertain
from kombu.transport.sqs.limits import TOPIC_SIZE, Limits, batches, whole
from kombu.transport.sqs.names import is_fifo
from kombu.transport.sqs.queues import Queues
from kombu.transport.sqs.topics import Topics, topic_for
from kombu.transport.sqs.wire import KEY, PLAIN, Note, encoded, size_of
from kombu.transport.virtual.head import Head, decode_head
from kombu.transport.virtual.store import Envelope
from kombu.utils.uuid import uuid

GROUP = "MessageGroupId"
DEDUPLICATION = "MessageDeduplicationId"
"""Headers, named as AWS names the parameters that they become on a FIFO queue."""

_PATIENCE = RetryPolicy(max_retries=3, interval_start=0.1, interval_step=0.3, jitter=0.5)
"""For entries of a batch that AWS did not store for reasons of its own."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One entry of a batch. ``place``: the URL of a queue or the ARN of a topic."""

    place: str
    queue: str
    entry: dict[str, Any]
    size: int


class Sender:
    """For one store; ``topics`` tells what is subscribed as far as that may be used."""

    def __init__(self, calls: Calls, queues: Queues, limits: Limits, topics: Callable[[], Topics]) -> None:
        self._calls = calls
        self._queues = queues
        self._limits = limits
        self._most = min(limits.size, calls.settings.max_message_size)
        self._group = calls.settings.message_group
        self._topics = topics if calls.settings.supports_fanout else None
        self._filter_delay = calls.settings.filter_delay

    def put(self, items: Sequence[tuple[str, Envelope]]) -> None:
        """All are stored when this returns. Raises :class:`QueueMissing` before anything is sent, and
        :class:`PreconditionFailed` for what AWS would refuse."""
        urls = {queue: self._queues.url(queue) for queue in {queue for queue, _ in items}}
        if self._topics is None:
            self.send([self._parcel(urls[queue], queue, envelope) for queue, envelope in items])
            return
        parcels: list[Parcel] = []
        published: list[Parcel] = []
        for _, group in groupby(items, key=lambda item: item[1]):
            same = list(group)
            topic = self._by_topic(same) if len(same) > 1 else None
            if topic is None:
                parcels += [self._parcel(urls[queue], queue, envelope) for queue, envelope in same]
            else:
                published.append(topic)
        self.send(published + parcels)

    def again(self, queue: str, head: str, body: bytes, note: Note, delay: float, group: str | None) -> Parcel:
        """A message that is sent once more: never taken for a duplicate of itself."""
        url = self._queues.url(queue)
        seconds, note = self._delayed(delay, note)
        return self._pack(url, queue, head, body, note, seconds, group, uuid())

    def move(self, items: Iterable[tuple[str, Envelope]]) -> None:
        """As :meth:`put`, but a header that marks duplicates does not count: this is the same message, and must not get
        lost."""
        urls = {queue: self._queues.url(queue) for queue, _ in items}
        self.send([self._parcel(urls[queue], queue, envelope, anew=True) for queue, envelope in items])

    def send(self, parcels: Sequence[Parcel]) -> None:
        """Queue by queue. When some are stored and others are not, or nobody knows, it is :class:`PublishUncertain`."""
        stored = 0
        for place, there in _by_place(parcels):
            for batch in batches(there, lambda parcel: parcel.size, _most_of(place, self._limits)):
                try:
                    self._send_batch(place, batch)
                except QueueMissing:
                    self._queues.forget(batch[0].queue)
                    if not stored:
                        raise
                    # what went to the others stays; this one was deleted at the same moment, with its messages
                except KombuError as exc:
                    if stored or is_uncertain(exc) or isinstance(exc, _Partly):
                        raise PublishUncertain(
                            f"{stored} of {len(parcels)} messages are stored at SQS for certain: {exc}"
                        ) from exc
                    raise
                stored += len(batch)

    def _send_batch(self, place: str, batch: list[Parcel]) -> None:
        """A part that AWS says it has not stored is sent again; all of it where AWS knows duplicates."""
        delays = _PATIENCE.delays()
        left, stored = batch, 0
        while True:
            failed = self._request(place, left)
            stored += len(left) - len(failed)
            if not failed:
                return
            reasons = "; ".join(sorted({f"{each['Code']}: {each.get('Message', '')}" for each in failed.values()}))
            final = any(each.get("SenderFault") for each in failed.values())
            delay = next(delays, None)
            if final or delay is None:
                raise _refusal(f"{self._calls.settings.place}: {reasons}", final, stored > 0)
            left = [left[int(place_in_batch)] for place_in_batch in sorted(failed, key=int)]
            time.sleep(delay)

    def _request(self, place: str, batch: list[Parcel]) -> dict[str, Answer]:
        """What failed, by its place in the batch."""
        entries = [{"Id": str(at), **parcel.entry} for at, parcel in enumerate(batch)]
        size = sum(parcel.size for parcel in batch)
        if _is_topic(place):
            try:
                answer = self._calls.sns(
                    "publish_batch", safe=False, size=size, TopicArn=place, PublishBatchRequestEntries=entries
                )
            except NotFound as exc:
                raise QueueMissing(str(exc)) from exc  # its exchange was deleted meanwhile
        else:
            answer = self._calls.sqs(
                "send_message_batch", safe=is_fifo(place), size=size, QueueUrl=place, Entries=entries
            )
        return {each["Id"]: each for each in answer.get("Failed", ())}

    def _parcel(self, url: str, queue: str, envelope: Envelope, anew: bool = False) -> Parcel:
        note = PLAIN if envelope.ttl is None else Note(ttl=round(envelope.ttl * 1000))
        delay, note = self._delayed(envelope.delay, note)
        group = deduplication = None
        if is_fifo(url):
            if delay:
                raise NotSupported(
                    f"delay={envelope.delay:g}: transport 'sqs' delays no message of a FIFO queue {queue!r}"
                )
            head = decode_head(envelope.head)
            group = _header(head, GROUP)
            deduplication = None if anew else _header(head, DEDUPLICATION)
        return self._pack(url, queue, envelope.head, envelope.body, note, delay, group, deduplication or uuid())

    def _delayed(self, seconds: float, note: Note) -> tuple[int, Note]:
        """What AWS is asked for; a message that waits longer says when it is due."""
        if whole(seconds) <= self._limits.delay:
            return whole(seconds), note
        return self._limits.delay, replace(note, due=round((self._calls.clock.now() + seconds) * 1000))

    def _pack(
        self,
        url: str,
        queue: str,
        head: str,
        body: bytes,
        note: Note,
        delay: int,
        group: str | None,
        deduplication: str,
    ) -> Parcel:
        text, attributes = encoded(head, body, note)
        size = size_of(text, attributes)
        if size > self._most:
            raise PreconditionFailed(
                f"body of {len(body)} bytes: transport 'sqs' keeps {self._most} bytes at most, headers and all, and"
                f" this message needs {size}{_why(body, text)}"
            )
        entry: dict[str, Any] = {"MessageBody": text, "MessageAttributes": attributes}
        if is_fifo(url):
            entry[GROUP] = group or self._group
            entry[DEDUPLICATION] = deduplication
        elif delay:
            entry["DelaySeconds"] = delay
        return Parcel(url, queue, entry, size)

    def _by_topic(self, items: Sequence[tuple[str, Envelope]]) -> Parcel | None:
        """One parcel for all of them, where SNS can do the same."""
        envelope = items[0][1]
        if envelope.delay or self._topics is None:
            return None
        head = decode_head(envelope.head)
        settled = self._calls.clock.now() - self._filter_delay
        queues = {queue for queue, _ in items}
        topic = topic_for(self._topics(), head.exchange, head.routing_key, queues, settled)
        if topic is None or len(queues) < len(items):
            return None
        note = PLAIN if envelope.ttl is None else Note(ttl=round(envelope.ttl * 1000))
        text, attributes = encoded(envelope.head, envelope.body, note)
        if head.routing_key:
            attributes[KEY] = {"DataType": "String", "StringValue": head.routing_key}
        size = size_of(text, attributes)
        if size > min(TOPIC_SIZE, self._most):
            return None
        return Parcel(topic.arn, items[0][0], {"Message": text, "MessageAttributes": attributes}, size)


class _Partly(OperationalError):
    """A part of a batch is stored."""


def _refusal(text: str, final: bool, partly: bool) -> KombuError:
    if partly:
        return _Partly(text)
    return PreconditionFailed(text) if final else OperationalError(text)


def _by_place(parcels: Sequence[Parcel]) -> list[tuple[str, list[Parcel]]]:
    places: dict[str, list[Parcel]] = {}
    for parcel in parcels:
        places.setdefault(parcel.place, []).append(parcel)
    return list(places.items())


def _is_topic(place: str) -> bool:
    return place.startswith("arn:")


def _most_of(place: str, limits: Limits) -> int:
    return TOPIC_SIZE if _is_topic(place) else limits.size


def _header(head: Head, name: str) -> str | None:
    value = head.headers.get(name)
    if value is None:
        return None
    text = str(value)
    if not (0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable() and " " not in text):
        raise PreconditionFailed(f"header {name}={value!r}: up to {_LONGEST_ID} letters, digits and punctuation marks")
    return text


_LONGEST_ID = 128


def _why(body: bytes, text: str) -> str:
    return " (it is not text, so it is sent as base64)" if len(text) > len(body) else ""
