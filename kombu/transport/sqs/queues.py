"""The queues at AWS: their URLs, which are remembered, and making and removing them."""

from __future__ import annotations

from collections.abc import Mapping

from kombu.exceptions import AccessRefused, PreconditionFailed
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing
from kombu.transport.sqs.names import is_fifo, mapped, name_tags

_RETENTION = "1209600"
"""Seconds that AWS keeps a message at most; its own default is four days."""


class Queues:
    """By AMQP's names."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._settings = calls.settings
        self._urls: dict[str, str] = dict(calls.settings.predefined_queues)

    def url(self, queue: str) -> str:
        """Raises :class:`QueueMissing`."""
        found = self._urls.get(queue)
        if found is None:
            if self._settings.predefined:
                raise QueueMissing(f"queue {queue!r} is not in predefined_queues")
            answer = self._calls.sqs("get_queue_url", QueueName=self.mapped(queue))
            found = self._urls[queue] = str(answer["QueueUrl"])
        return found

    def mapped(self, queue: str) -> str:
        return mapped(queue, self._settings.queue_name_prefix)

    def forget(self, queue: str) -> None:
        """Another process has deleted it."""
        if not self._settings.predefined:
            self._urls.pop(queue, None)

    def make(self, queue: str) -> str:
        """One that AWS has already is taken as it is. Answers its URL."""
        if self._settings.predefined:
            if queue in self._urls:
                return self._urls[queue]
            raise AccessRefused(f"queue {queue!r} is not in predefined_queues, and no other queue is made beside these")
        attributes = {
            "MessageRetentionPeriod": _RETENTION,
            "MaximumMessageSize": str(self._settings.max_message_size),
            **({"FifoQueue": "true"} if is_fifo(queue) else {}),
            **self._settings.sqs_creation_attributes,
        }
        tags = {**self._settings.queue_tags, **name_tags(queue)}
        name = self.mapped(queue)
        try:
            answer = self._calls.sqs("create_queue", QueueName=name, Attributes=attributes, tags=tags)
        except PreconditionFailed:
            answer = self._calls.sqs("get_queue_url", QueueName=name)  # another process was first, with other options
        url = self._urls[queue] = str(answer["QueueUrl"])
        return url

    def delete(self, queue: str) -> None:
        if self._settings.predefined:
            raise AccessRefused(f"queue {queue!r} is one of predefined_queues, which are not deleted")
        url = self.url(queue)
        self.forget(queue)
        self._calls.sqs("delete_queue", QueueUrl=url)

    def attributes(self, queue: str, *names: str) -> Mapping[str, str]:
        """Raises :class:`QueueMissing`."""
        try:
            answer = self._calls.sqs("get_queue_attributes", QueueUrl=self.url(queue), AttributeNames=list(names))
        except QueueMissing:
            self.forget(queue)
            raise
        return dict(answer.get("Attributes", {}))
