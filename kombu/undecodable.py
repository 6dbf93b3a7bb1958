"""What becomes of a message that cannot be decoded, where the program does not say: it is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from kombu.entity import Queue
from kombu.exceptions import KombuError, NotBoundError
from kombu.message import Message
from kombu.producer import Producer

__all__ = ["BECAUSE", "keep"]

logger = logging.getLogger(__name__)

BECAUSE = "x-rejected-because"
"""The header that says why."""


def keep(message: Message, error: Exception, queues: Iterable[Queue]) -> None:
    """Reject it where one of ``queues`` is its own and says where dead letters go. Elsewhere nobody would keep it then:
    it is put into the queue ``<queue>.dead`` as it is, and acknowledged.

    Where that cannot be, it stays unsettled, and comes again when the consumer has ended. Logs an error in any case.
    """
    if message.channel is None:
        raise NotBoundError("the message belongs to no channel: there is nothing to keep it in")
    name = str(message.delivery_info.get("queue") or message.delivery_info.get("routing_key"))
    said = f"message of queue {name!r}, {message.content_type}, cannot be decoded: {error}"
    own = [queue for queue in queues if queue.name == name]
    if any("x-dead-letter-exchange" in (queue.queue_arguments or {}) for queue in own) and not message.no_ack:
        logger.error("rejected: %s", said)
        message.reject(because=str(error))
        return
    dead = Queue(f"{name}.dead", durable=all(queue.durable for queue in own))
    try:
        _copy(message, Producer(message.channel), dead, str(error))
    except (KombuError, TimeoutError) as exc:
        logger.error("not settled: %s; it could not be put into queue %r: %s", said, dead.name, exc)
        return
    logger.error("put into queue %r: %s", dead.name, said)
    message.ack()


def _copy(message: Message, producer: Producer, queue: Queue, why: str) -> None:
    """With what can be said of it in AMQP's words; what is not text there is another program's."""
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    kind, encoding = message.content_type, message.content_encoding
    producer.publish(
        message.body or b"",
        routing_key=queue.name,
        declare=[queue],
        content_type=kind if kind and isinstance(kind, str) else "application/data",
        content_encoding=encoding if encoding and isinstance(encoding, str) else "binary",
        headers={**{str(name): value for name, value in headers.items()}, BECAUSE: why},
        mandatory=True,
    )
