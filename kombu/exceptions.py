"""Every error this library raises, in one hierarchy for all transports.

A driver's own exception is never what the caller has to catch: it arrives as one of these, with the
original as ``__cause__``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccessRefused",
    "ChannelError",
    "ChannelLimitExceeded",
    "ConnectionError",
    "ConnectionLimitExceeded",
    "ContentDisallowed",
    "DecodeError",
    "EncodeError",
    "InconsistencyError",
    "InvalidURL",
    "KombuError",
    "LeaseLost",
    "LimitExceeded",
    "MessageReturned",
    "MessageStateError",
    "MissingDriver",
    "NotBoundError",
    "NotFound",
    "NotSupported",
    "OperationalError",
    "PreconditionFailed",
    "PublishRefused",
    "PublishUncertain",
    "ResourceError",
    "ResourceLocked",
    "SerializationError",
    "SerializerNotInstalled",
    "StdChannelError",
    "TimeoutError",
    "UnknownTransport",
    "VersionMismatch",
]

TimeoutError = TimeoutError
"""A wait ended before anything arrived. The builtin, which is also ``socket.timeout``."""


class KombuError(Exception):
    """The root of the hierarchy.

    ``message``: the :class:`~kombu.Message` that a consumer could not decode, unsettled; None for all other errors.
    """

    message: Any = None


class OperationalError(KombuError):
    """The broker could not be reached or did not do what was asked; trying again may help."""


class ConnectionError(OperationalError):
    """The connection was lost: go on with a new one (AMQP 0-9-1: a connection exception).

    ``uncertain``: it was lost while the broker was at work, which it may have finished or not.
    """

    uncertain = False


class ChannelError(KombuError):
    """The broker refused one operation; the connection is still good (AMQP 0-9-1: a channel exception).

    ``not_stored``: of several messages that were published together, the places of those that were not stored, where
    the broker stores each by itself; the others were. None where it stores all or none, and this time none.
    """

    not_stored: tuple[int, ...] | None = None


class ResourceError(ChannelError):
    """A named exchange, queue or message is missing, locked or different from what was asked for."""


class NotFound(ResourceError):
    """An exchange or a queue that was named does not exist (AMQP 0-9-1 reply code 404)."""


class ResourceLocked(ResourceError):
    """Another connection has exclusive use of the queue (AMQP 0-9-1 reply code 405)."""


class PreconditionFailed(ResourceError):
    """Declared differently from what exists, or not unused/empty as asked (AMQP 0-9-1 reply code 406)."""


class AccessRefused(ResourceError):
    """The name is reserved, or the user has no right to it (AMQP 0-9-1 reply code 403)."""


class NotSupported(ChannelError):
    """The transport cannot keep this promise; refused where it is declared, never ignored."""


class MessageReturned(ChannelError):
    """A message published with ``mandatory=True`` reached no queue (AMQP 0-9-1 basic.return, code 312)."""


class PublishRefused(ChannelError):
    """The broker did not store the message: a queue is full and refuses then (RabbitMQ: basic.nack)."""


class PublishUncertain(KombuError):
    """The connection was lost while messages were being stored: all of them are, or none, and nobody knows.

    Raised, whatever ``retry`` says, where publishing again could double them; whether that is better than losing them
    is for the caller to say. An inbox, or a consumer that may see a message twice, makes it harmless.
    """


class LeaseLost(ChannelError):
    """This delivery belongs to another consumer by now: roll back what was done for it."""


class NotBoundError(KombuError):
    """An exchange or queue was used before it was bound to a channel: call it with one first."""


class MessageStateError(KombuError):
    """The message was acknowledged, rejected or requeued before."""


class LimitExceeded(KombuError):
    """A pool has no resource left within its limit."""


class ConnectionLimitExceeded(LimitExceeded):
    """The pool's connections are all in use."""


class ChannelLimitExceeded(LimitExceeded):
    """The pool's channels are all in use."""


class VersionMismatch(KombuError):
    """A driver or a schema has a version that this release cannot work with."""


class InconsistencyError(ConnectionError):
    """The backend's data contradicts itself."""


class InvalidURL(KombuError, ValueError):
    """A broker URL that cannot be understood. The message shows it with the password masked."""


class UnknownTransport(KombuError, KeyError):
    """No transport is registered for a URL scheme; names the known ones."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MissingDriver(KombuError, ImportError):
    """A transport's driver is not installed; the message is the pip command that installs it."""


class SerializerNotInstalled(KombuError):
    """No serializer of this name or content type is known."""


class ContentDisallowed(SerializerNotInstalled):
    """The content type is not on the accept list."""


class SerializationError(KombuError):
    """A body could not be turned into bytes or back."""


class EncodeError(SerializationError):
    """The object to be published cannot be serialised."""


class DecodeError(SerializationError):
    """The body that arrived is not what its content type promises."""


StdChannelError = ChannelError
"""The specification's name for :class:`ChannelError`."""
