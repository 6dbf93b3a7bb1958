"""AWS's own dead-letter queues, for queues whose dead letters go to one queue: other programs' failures move, too."""

from __future__ import annotations

from kombu.exceptions import PreconditionFailed
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing
from kombu.transport.sqs.names import is_fifo
from kombu.transport.sqs.queues import Queues
from kombu.transport.virtual.store import QueueSpec
from kombu.utils import json

_MOST = 1000


def redrive_policy(calls: Calls, queues: Queues, queue: QueueSpec, url: str) -> None:
    """Give the queue a RedrivePolicy (the option ``redrive``), if its arguments say what that can say: a delivery
    limit, and the default exchange with the key of a queue. Raises :class:`PreconditionFailed` if there is none."""
    limit, target = queue.arguments.get("x-delivery-limit"), dead_letter_queue(queue)
    if not isinstance(limit, int) or target is None:
        return
    if is_fifo(target) != is_fifo(queue.name):
        raise PreconditionFailed(f"queue {queue.name!r}: redrive, but of it and {target!r} only one is a FIFO queue")
    try:
        arn = queues.attributes(target, "QueueArn")["QueueArn"]
    except QueueMissing as exc:
        raise PreconditionFailed(f"queue {queue.name!r}: declare {target!r} first, where its dead letters go") from exc
    policy = {"deadLetterTargetArn": arn, "maxReceiveCount": min(limit + 1, _MOST)}
    calls.sqs("set_queue_attributes", QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})


def dead_letter_queue(queue: QueueSpec) -> str | None:
    """The one queue that its dead letters go to, if that can be said without asking a binding."""
    key = queue.arguments.get("x-dead-letter-routing-key")
    return key if queue.arguments.get("x-dead-letter-exchange") == "" and isinstance(key, str) else None
