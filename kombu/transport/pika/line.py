"""One AMQP channel of pika's, in its event loop: opened when first needed, and anew after the broker has closed it.

It is asked for one thing at a time, and each asking has one answer, whatever becomes of the channel meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from pika import exceptions as drivers
from pika.channel import Channel as PikaChannel

from kombu.exceptions import ChannelError, ConnectionError, EncodeError, KombuError, NotSupported
from kombu.transport.native.errors import channel_error
from kombu.transport.pika.wire import Wire

__all__ = ["Ask", "Line", "Reply"]

Ask = Callable[[PikaChannel, Callable[[Any], None]], object]
"""Sends a method on the channel, and has the function called with the broker's answer."""

Reply = Callable[[Any, Exception | None], object]
"""Called once, with the answer or the error."""


class Line:
    """``prepare(channel, then)`` is called with a channel that was opened, and calls ``then`` when it can be used;
    ``on_lost(error)`` when the broker has closed one that was."""

    def __init__(
        self,
        wire: Wire,
        prepare: Callable[[PikaChannel, Callable[[], None]], object] | None = None,
        on_lost: Callable[[KombuError], object] | None = None,
    ) -> None:
        self._wire = wire
        self._prepare = prepare
        self._on_lost = on_lost
        self._asked: deque[tuple[Ask, Reply]] = deque()
        self._current: Reply | None = None
        self._opening = False
        self._ended: KombuError | None = None
        self.channel: PikaChannel | None = None
        """The open one; None where there is none."""

    @property
    def good(self) -> PikaChannel | None:
        """The open one, if something may be sent on it now."""
        channel = self.channel
        return channel if channel is not None and channel.is_open else None

    @property
    def quiet(self) -> bool:
        return self._current is None and not self._asked and not self._opening

    def ask(self, ask: Ask, reply: Reply) -> None:
        """In turn. ``reply`` gets the broker's answer, or why there is none."""
        if self._ended is not None:
            reply(None, self._ended)
            return
        self._asked.append((ask, reply))
        self._go_on()

    def end(self, why: KombuError) -> None:
        """The connection is gone, or the channel was closed for good; nobody is told but who has asked."""
        if self._ended is not None:
            return
        self._ended, channel, self.channel = why, self.channel, None
        self._fail_all(why)
        if channel is not None and channel.is_open and self._wire.is_open:
            channel.close()

    def _go_on(self) -> None:
        if self._current is not None or self._opening or not self._asked:
            return
        if self.channel is None:
            self._open()
            return
        ask, self._current = self._asked.popleft()
        try:
            ask(self.channel, self._answered)
        except Exception as error:  # noqa: BLE001 - the asker's
            self._reply(None, _meant(error))

    def _open(self) -> None:
        self._opening = True
        try:
            made = self._wire.channel(on_open_callback=self._opened)
        except (drivers.AMQPError, RuntimeError) as error:
            self._opening = False
            self._fail_all(_meant(error))
            return
        made.add_on_close_callback(self._closed)

    def _opened(self, channel: PikaChannel) -> None:
        def ready() -> None:
            if self._opening and channel.is_open:
                self._opening, self.channel = False, channel
                self._go_on()

        if self._ended is not None:
            if channel.is_open:
                channel.close()
        elif self._prepare is None:
            ready()
        else:
            self._prepare(channel, ready)

    def _answered(self, answer: Any) -> None:
        self._reply(answer, None)

    def _reply(self, answer: Any, error: Exception | None) -> None:
        reply, self._current = self._current, None
        if reply is not None:
            reply(answer, error)
        self._go_on()

    def _closed(self, channel: PikaChannel, reason: Exception) -> None:
        """Of a lost connection pika tells the channels first. Who waits is told with :meth:`end`, when the connection
        counts as lost: or he would go on with it."""
        if self._ended is not None or isinstance(reason, drivers.AMQPConnectionError):
            return
        error, was_open = _meant(reason), channel is self.channel
        self.channel, opening, self._opening = None, self._opening, False
        if opening and not was_open:
            self._fail_all(error)
            return
        if self._on_lost is not None and was_open:
            self._on_lost(error)
        if self._current is not None:
            self._reply(None, error)
        else:
            self._go_on()

    def _fail_all(self, error: KombuError) -> None:
        current, self._current = self._current, None
        asked, self._asked = self._asked, deque()
        for reply in [*([current] if current is not None else []), *(reply for _, reply in asked)]:
            reply(None, error)


def _meant(error: Exception) -> KombuError:
    """Our error for one of pika's about a channel."""
    made: KombuError
    if isinstance(error, KombuError):
        return error
    if isinstance(error, drivers.ChannelClosedByBroker):
        made = channel_error(error.reply_code, error.reply_text)
    elif isinstance(error, drivers.NoFreeChannels):
        made = ChannelError("this connection has as many channels as the broker allows: close some, or use another")
    elif isinstance(error, (drivers.UnsupportedAMQPFieldException, drivers.ShortStringTooLong)):
        made = EncodeError(f"AMQP cannot carry this: {error}")
    elif isinstance(error, drivers.MethodNotImplemented):
        made = NotSupported(f"the broker has no {error}")
    elif isinstance(error, drivers.DuplicateConsumerTag):
        made = ChannelError(f"consumer tag {error} is in use on this channel")
    elif isinstance(error, (TypeError, ValueError)):
        made = ChannelError(str(error))
    else:
        made = ConnectionError(f"the connection was lost: {str(error) or type(error).__name__}")
    made.__cause__ = error
    return made
