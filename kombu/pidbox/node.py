"""A node of a mailbox: does what it is told, and replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from kombu.abstract import ChannelLike
from kombu.consumer import Consumer
from kombu.exceptions import ChannelError, DecodeError, EncodeError, NotBoundError
from kombu.log import get_logger
from kombu.matcher import MatcherNotInstalled
from kombu.message import Message
from kombu.pidbox.wire import Arguments, Request, clock_of

if TYPE_CHECKING:
    from kombu.pidbox.mailbox import Mailbox

__all__ = ["Handler", "Node"]

H = TypeVar("H", bound=Callable[..., Any])

Handler = Callable[..., Any]
"""Called with the node's state, and the command's arguments by their names; what it answers is the reply."""

logger = get_logger("kombu.pidbox")


class Node:
    """Hears a mailbox's commands under one name; ``handlers`` are functions by the names of the commands.

    Each is called with ``state`` and the command's arguments: ``handler(state, **arguments)``. An exception in it is
    logged, and replied as ``{"error": repr}``, as is a command that has no handler.
    """

    def __init__(
        self,
        hostname: str,
        state: Any = None,
        channel: ChannelLike | None = None,
        handlers: MutableMapping[str, Handler] | None = None,
        mailbox: Mailbox | None = None,
    ) -> None:
        self.hostname = hostname
        self.state = state
        self.channel = channel
        self.handlers: MutableMapping[str, Handler] = {} if handlers is None else handlers
        self._mailbox = mailbox

    def __repr__(self) -> str:
        return f"<Node {self.hostname!r} of {self._mailbox!r}>"

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox it is a node of; raises :class:`~kombu.exceptions.NotBoundError` without one."""
        if self._mailbox is None:
            raise NotBoundError(f"node {self.hostname!r} has no mailbox: make it with Mailbox.Node(…)")
        return self._mailbox

    def handler(self, fun: H) -> H:
        """Decorator: the function handles the command of its name."""
        self.handlers[fun.__name__] = fun
        return fun

    def listen(
        self, channel: ChannelLike | None = None, callback: Callable[[Any, Message], object] | None = None
    ) -> Consumer:
        """Begin to hear commands, while the connection is drained, until the consumer that it answers is cancelled.

        Raises :class:`~kombu.exceptions.ResourceLocked` where another node has this name.
        """
        consumer = self.Consumer(
            channel, callbacks=[callback or self.handle_message], on_decode_error=self.on_decode_error
        )
        consumer.consume()
        return consumer

    def Consumer(
        self,
        channel: ChannelLike | None = None,
        no_ack: bool = True,
        accept: Iterable[str] | None = None,
        **options: Any,
    ) -> Consumer:
        """A consumer of this node's queue, which is declared; ``options`` are those of every consumer."""
        if self.channel is None:
            self.channel = channel
        queue = self.mailbox.get_queue(self.hostname)
        queue.on_declared = self._look_for_others
        return Consumer(
            channel or self.channel or self.mailbox.bound(),
            [queue],
            no_ack=no_ack,
            accept=self.mailbox.accept if accept is None else accept,
            **options,
        )

    def handle_message(self, body: Any, message: Message | None = None) -> Any:
        """Do what a message says if it is meant for this node; answers the reply, or None.

        What is no command is logged and otherwise ignored.
        """
        if message is not None:
            self.mailbox.clock.adjust(clock_of(message))
        try:
            request = Request.read(body)
        except DecodeError as exc:
            logger.error("node %s: %s", self.hostname, exc)
            return None
        try:
            meant = request.is_for(self.hostname)
        except (MatcherNotInstalled, ValueError) as exc:
            return self._answer(_failure(exc), request.reply_to, request.ticket)
        return self._dispatched(request) if meant else None

    dispatch_from_message = handle_message

    def dispatch(
        self,
        method: str,
        arguments: Arguments | None = None,
        reply_to: Mapping[str, str] | None = None,
        ticket: str | None = None,
        **rest: Any,
    ) -> Any:
        """Do a command, and reply if somebody waits for that; answers the reply. ``rest`` is not looked at."""
        handle = self.handle_call if reply_to else self.handle_cast
        try:
            reply = handle(method, arguments or {})
        except Exception as exc:
            logger.error("command %r failed: %r", method, exc, exc_info=True)
            reply = _failure(exc)
        return self._answer(reply, reply_to, ticket)

    def handle(self, method: str, arguments: Arguments | None = None) -> Any:
        """Call the handler; raises KeyError where there is none, and what it raises."""
        handler = self.handlers.get(method)
        if handler is None:
            raise KeyError(f"node {self.hostname!r} has no command {method!r}")
        return handler(self.state, **(arguments or {}))

    def handle_call(self, method: str, arguments: Arguments) -> Any:
        """A command that somebody waits for; like any other unless overridden."""
        return self.handle(method, arguments)

    def handle_cast(self, method: str, arguments: Arguments) -> Any:
        """A command that nobody waits for; like any other unless overridden."""
        return self.handle(method, arguments)

    def reply(self, data: Any, exchange: str, routing_key: str, ticket: str | None = None, **options: Any) -> None:
        """Send a reply; ``options`` are those of :meth:`kombu.Producer.publish`."""
        self.mailbox.publish_reply(data, exchange, routing_key, ticket, channel=self.channel, **options)

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Called with a message that cannot be decoded, which is logged and ignored."""
        logger.error("node %s cannot decode a message: %r", self.hostname, exc)

    def _answer(self, reply: Any, reply_to: Mapping[str, str] | None, ticket: str | None) -> Any:
        """Send the reply if somebody waits; that a caller named a bad place for it is not to end the node."""
        if not reply_to:
            return reply
        exchange, routing_key = reply_to["exchange"], reply_to["routing_key"]
        try:
            self.reply({self.hostname: reply}, exchange, routing_key, ticket)
        except EncodeError as exc:
            logger.error("a reply cannot be sent: %r", exc)
            reply = _failure(exc)
            self.reply({self.hostname: reply}, exchange, routing_key, ticket)
        except ChannelError as exc:
            logger.error("a reply to exchange %r was refused: %r", exchange, exc)
        return reply

    def _dispatched(self, request: Request) -> Any:
        return self.dispatch(request.method, request.arguments, request.reply_to, request.ticket)

    def _look_for_others(self, queue: str, messages: int, consumers: int) -> None:
        """An exclusive queue is refused to a second node; any other would be shared, each getting half."""
        if consumers:
            logger.warning("queue %s has a consumer already: each node needs a name of its own", queue)


def _failure(exc: Exception) -> dict[str, str]:
    return {"error": repr(exc)}
