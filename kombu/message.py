"""A message as a consumer receives it."""

from __future__ import annotations

from collections.abc import Container, Mapping, MutableMapping
from logging import Logger
from typing import TYPE_CHECKING, Any, Literal

from kombu.compression import decompress
from kombu.exceptions import MessageStateError, NotBoundError
from kombu.serialization import loads

if TYPE_CHECKING:
    from kombu.transport.base import Channel

__all__ = ["Message"]

UNDECODED = object()

Errors = type[Exception] | tuple[type[Exception], ...]

State = Literal["", "acknowledged", "rejected", "requeued", "lost"]
"""What became of a message; empty while it is unsettled. ``lost``: its lease is another consumer's."""


class Message:
    """One delivery: a body with its properties and headers, to be settled exactly once.

    ``delivery_info`` has ``consumer_tag``, ``exchange``, ``routing_key``, ``queue``, ``redelivered`` and
    ``delivery_count`` (1 for the first delivery, where the transport counts) and ``age`` (seconds since it was stored,
    where the transport knows). ``accept`` is the set of content types that :attr:`payload` may decode; None means what
    is enabled. ``postencode`` is the charset of a ``body`` that is given as text.
    """

    __slots__ = (
        "_decoded",
        "accept",
        "body",
        "channel",
        "content_encoding",
        "content_type",
        "delivery_info",
        "delivery_tag",
        "headers",
        "no_ack",
        "properties",
        "state",
    )

    def __init__(
        self,
        body: bytes | str | None = None,
        delivery_tag: int | str | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        delivery_info: MutableMapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        postencode: str | None = None,
        accept: Container[str] | None = None,
        channel: Channel | None = None,
        no_ack: bool = False,
    ) -> None:
        self.body = body.encode(postencode) if postencode and isinstance(body, str) else body
        self.delivery_tag = delivery_tag
        self.content_type = content_type
        self.content_encoding = content_encoding
        self.delivery_info = {} if delivery_info is None else delivery_info
        self.properties = {} if properties is None else properties
        self.headers = {} if headers is None else headers
        self.accept = accept
        self.channel = channel
        self.no_ack = no_ack
        self.state: State = ""
        self._decoded: Any = UNDECODED

    def __repr__(self) -> str:
        state = self.state or "unsettled"
        size = len(self.body) if self.body is not None else 0
        return f"<Message {self.delivery_tag} {self.content_type} {size} bytes, {state}>"

    @property
    def payload(self) -> Any:
        """The decoded body, decoded once.

        Raises :class:`~kombu.exceptions.ContentDisallowed` when its content type is not accepted and
        :class:`~kombu.exceptions.DecodeError` when it is not what its content type promises.
        """
        decoded = self._decoded
        if decoded is UNDECODED:
            if self.headers:
                decoded = self.decode()
            else:
                decoded = loads(self.body, self.content_type, self.content_encoding, self.accept)
            self._decoded = decoded
        return decoded

    def decode(self) -> Any:
        """Decode the body anew; raises what :attr:`payload` raises."""
        body = self.body
        compression = self.headers.get("compression")
        if compression and body:
            body = decompress(body, compression)
        return loads(body, self.content_type, self.content_encoding, accept=self.accept)

    @property
    def acknowledged(self) -> bool:
        """Whether the message was acknowledged, rejected or requeued."""
        return bool(self.state)

    def ack(self, multiple: bool = False, within: object | None = None) -> None:
        """Acknowledge: the broker may forget the message. ``multiple``: and all delivered before it.

        ``within`` is the caller's open transaction on the queue's own database (a Django database alias, a
        SQLAlchemy connection): the acknowledgement commits or rolls back with it, and
        :class:`~kombu.exceptions.LeaseLost` is raised where another consumer holds the message by now. It is
        final only then: after the commit call ``ack()`` again, which costs nothing; after a rollback requeue
        or reject as usual.
        """
        if self.no_ack:
            return
        if self.state or self.channel is None or self.delivery_tag is None:
            self._unsettled()
        self.channel.basic_ack(self.delivery_tag, multiple, within=within)  # type: ignore[union-attr, arg-type]
        if within is None:
            self.state = "acknowledged"

    def reject(self, requeue: bool = False, *, because: str | None = None) -> None:
        """Refuse the message: it is dead-lettered where its queue says so, or dropped (AMQP basic.reject).

        ``because`` is kept with a dead-lettered message, in the header ``x-rejected-because``.
        """
        if requeue:
            self.requeue()
            return
        channel, tag = self._unsettled()
        channel.basic_reject(tag, requeue=False, because=because)
        self.state = "rejected"

    def requeue(self, delay: float = 0.0, *, counted: bool = True) -> None:
        """Put the message back into its queue, for any consumer, after ``delay`` seconds.

        ``counted=False`` says that nobody has looked at it: the delivery is not counted as an attempt, where the
        transport counts.
        """
        channel, tag = self._unsettled()
        channel.basic_reject(tag, requeue=True, delay=delay, counted=counted)
        self.state = "requeued"

    def ack_log_error(self, logger: Logger, errors: Errors, multiple: bool = False) -> None:
        """:meth:`ack`; one of ``errors``, such as a lost connection's, is logged instead of raised."""
        try:
            self.ack(multiple=multiple)
        except errors as exc:
            logger.critical("message %s could not be acknowledged: %r", self.delivery_tag, exc, exc_info=True)

    def reject_log_error(self, logger: Logger, errors: Errors, requeue: bool = False) -> None:
        """:meth:`reject`; one of ``errors`` is logged instead of raised."""
        try:
            self.reject(requeue=requeue)
        except errors as exc:
            logger.critical("message %s could not be rejected: %r", self.delivery_tag, exc, exc_info=True)

    def _unsettled(self) -> tuple[Channel, int | str]:
        if self.no_ack:
            raise MessageStateError("this message was delivered without acknowledgement: the broker has forgotten it")
        if self.channel is None or self.delivery_tag is None:
            raise NotBoundError("this message was not received from a channel")
        if self.state:
            raise MessageStateError(f"message {self.delivery_tag} is already {self.state}")
        return self.channel, self.delivery_tag
