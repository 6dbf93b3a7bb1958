"""Publishing on a channel in confirm mode, in its event loop: who waits is told when the broker has stored it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pika.channel import Channel as PikaChannel

from kombu.exceptions import ConnectionError, KombuError, NotFound, PublishUncertain
from kombu.transport.base import Publication
from kombu.transport.native.checks import check_header_size, check_publication, wire_name
from kombu.transport.native.confirms import Confirms, Ticket, raise_refusals
from kombu.transport.native.properties import encode_properties, readable
from kombu.transport.pika.frames import HEADER, pieces
from kombu.transport.pika.line import Line
from kombu.transport.pika.wire import Properties, Services, Wire

__all__ = ["Done", "Parcel", "Publishing", "packed"]

Done = Callable[[Exception | None], object]
"""Called once: with None when all is stored."""


@dataclass(slots=True, eq=False)
class Parcel:
    """Publications ready to be sent, with the bytes of their properties. ``withdrawn``: nobody waits for it."""

    publications: Sequence[Publication]
    properties: Sequence[bytes]
    withdrawn: bool = False
    sent: bool = False


def packed(publications: Sequence[Publication], frame_max: int) -> Parcel:
    """Raises what is wrong with any of them, before one is sent."""
    made = []
    for publication in publications:
        check_publication(publication)
        raw = encode_properties(publication.content.properties)
        check_header_size(len(raw) + HEADER, frame_max)
        made.append(raw)
    return Parcel(publications, made)


class Publishing:
    """Of one connection, for all its channels."""

    def __init__(self, wire: Wire, services: Services, confirm: bool, frame_max: int) -> None:
        self._services = services
        self._confirm = confirm
        self._frame_max = frame_max
        self._line = Line(wire, self._prepare if confirm else self._listen, self._lost)
        self._confirms = Confirms()
        self._waiting: dict[Ticket, Done] = {}

    def publish(self, parcel: Parcel, done: Done) -> None:
        """Send it, once the channel is open."""
        channel = self._line.channel
        if channel is not None and self._line.quiet:
            self._send(channel, parcel, done)
            return

        def send(opened: PikaChannel, answered: Callable[[Any], None]) -> None:
            answered(None)
            self._send(opened, parcel, done)

        def told(_: Any, error: Exception | None) -> None:
            if error is not None:
                done(error)

        self._line.ask(send, told)

    def end(self, why: KombuError) -> None:
        """The connection is gone."""
        self._line.end(why)
        self._lost(why)

    def _send(self, channel: PikaChannel, parcel: Parcel, done: Done) -> None:
        if parcel.withdrawn:
            return
        if not channel.is_open:  # the connection is about to be closed
            done(ConnectionError("the connection is being closed: nothing was published"))
            return
        parcel.sent = True
        if self._confirm:
            self._waiting[self._confirms.sent(parcel.publications)] = done
        for piece in pieces(channel.channel_number, parcel.publications, parcel.properties, self._frame_max):
            self._services.write(piece)
        if not self._confirm:
            done(None)

    def _prepare(self, channel: PikaChannel, ready: Callable[[], None]) -> None:
        self._confirms = Confirms()
        self._listen(channel, lambda: channel.confirm_delivery(self._answered, callback=lambda _: ready()))

    def _listen(self, channel: PikaChannel, then: Callable[[], None]) -> None:
        channel.add_on_return_callback(self._returned)
        then()

    def _answered(self, frame: Any) -> None:
        method = frame.method
        for ticket in self._confirms.answered(method.delivery_tag, method.multiple, method.NAME == "Basic.Ack"):
            self._tell(ticket)

    def _tell(self, ticket: Ticket) -> None:
        done = self._waiting.pop(ticket, None)
        if done is None:
            return
        try:
            raise_refusals(ticket)
        except KombuError as error:
            done(error)
        else:
            done(None)

    def _returned(self, channel: PikaChannel, method: Any, properties: Properties, body: bytes) -> None:
        self._confirms.returned(method.exchange, method.routing_key, readable(properties.raw).get("message_id"))

    def _lost(self, why: KombuError) -> None:
        waiting, self._waiting = self._waiting, {}
        alone = len(waiting) == 1
        self._confirms.lost(why)
        for ticket, done in waiting.items():
            done(_what_it_means(why, ticket, alone))


def _what_it_means(why: KombuError, ticket: Ticket, alone: bool) -> KombuError:
    """For the one whose message ended the channel it is the reason; for others, that nobody knows."""
    if isinstance(why, ConnectionError):
        error = PublishUncertain(f"the connection was lost before the broker had confirmed: stored or not ({why})")
    elif len(ticket.publications) == 1 and (alone or _is_to_blame(why, ticket)):
        return why
    else:
        error = PublishUncertain(f"the broker ended the channel before it had confirmed: stored or not ({why})")
    error.__cause__ = why
    return error


def _is_to_blame(why: KombuError, ticket: Ticket) -> bool:
    return isinstance(why, NotFound) and f"'{wire_name(ticket.publications[0].exchange)}'" in str(why)
