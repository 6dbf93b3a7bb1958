"""Publishing: one channel of a connection in confirm mode, which all its threads share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from amqp import spec
from amqp.serialization import loads

from kombu.exceptions import ChannelError, ConnectionError, OperationalError, PublishUncertain
from kombu.transport.amqp.asking import Asking
from kombu.transport.amqp.frames import Encoder, Signature
from kombu.transport.amqp.link import Link, Question, Station
from kombu.transport.base import Publication
from kombu.transport.native.checks import wire_name
from kombu.transport.native.confirms import Confirms, Ticket, raise_refusals
from kombu.transport.native.errors import blocked, returned
from kombu.transport.native.properties import readable

__all__ = ["Publisher", "parts"]

logger = logging.getLogger(__name__)

_FRESH = 0.05
"""Seconds in which a connection that was heard of is taken for alive."""


class Publisher(Station):
    """``confirm``: wait until the broker has stored what is published."""

    def __init__(self, link: Link, asking: Asking, confirm: bool) -> None:
        super().__init__(link)
        self._asking = asking
        self._confirm = confirm
        self._confirms = Confirms()
        self._encoder: Encoder | None = None

    def publish(self, publications: Sequence[Publication], deadline: float) -> None:
        """Without the lock held. Returns when all are stored, or raises.

        ``TimeoutError`` and :class:`~kombu.exceptions.PublishUncertain`: they may be stored or not. A ``ChannelError``
        says with ``not_stored`` which are not.
        """
        with self.link.lock:
            encoder = self._ready(publications, deadline)
            frames = [encoder.encode(each) for each in publications]
            self._send(frames, publications, deadline)

    def opened(self, number: int, deadline: float) -> None:
        if self._confirm:
            question = Question(spec.Confirm.Select, "b", (False,), spec.Confirm.SelectOk)
            self.link.ask(number, deadline, [question])
        self._confirms = Confirms()
        self._encoder = Encoder(number, self.link.frame_max)

    def on_method(self, signature: Signature, arguments: bytes) -> None:
        if signature in (spec.Basic.Ack, spec.Basic.Nack):
            tag = int.from_bytes(arguments[:8], "big")
            self._confirms.answered(tag, bool(arguments[8] & 1), signature == spec.Basic.Ack)

    def on_content(self, signature: Signature, arguments: bytes, properties: bytes, body: bytes) -> None:
        """A mandatory message came back."""
        if signature == spec.Basic.Return:
            (_, _, exchange, routing_key), _ = loads("Bsss", arguments, 0)
            if not self._confirms.returned(exchange, routing_key, readable(properties).get("message_id")):
                logger.error(
                    "nobody waits any more for a mandatory message that came back: %s", returned(exchange, routing_key)
                )

    def on_closed(self, error: ChannelError) -> None:
        """One message was refused: which one is certain only where it was alone, or the error names its exchange."""
        tickets = self._confirms.lost(error)
        for ticket in tickets:
            if len(ticket.publications) > 1 or (len(tickets) > 1 and not _names_exchange(error, ticket)):
                ticket.lost = PublishUncertain(f"{error}; {_counted(ticket.publications)} may have been stored, or not")
        if not tickets:
            logger.error("a message that was published without a confirm was refused: %s", error)
        self._asking.forget_exchanges()

    def on_lost(self, error: ConnectionError) -> None:
        self.number = 0
        self._confirms.lost(error)

    def _ready(self, publications: Sequence[Publication], deadline: float) -> Encoder:
        """Nothing was sent yet: what fails here is certain, and may be tried again."""
        wire = self.link.wire
        if wire.idle_for(_FRESH):
            wire.receive()
        wire.check()
        try:
            for exchange in {each.exchange for each in publications}:
                self._asking.know_exchange(exchange, deadline)
            while not self.number or self.link.blocked is not None:
                self.ensure_open(deadline)
                wire.wait_for(lambda: self.link.blocked is None, deadline)
        except TimeoutError as exc:
            why = blocked(self.link.blocked) if self.link.blocked is not None else "the broker does not answer"
            raise OperationalError(f"nothing was published within the timeout: {why}") from exc
        assert self._encoder is not None  # noqa: S101
        return self._encoder

    def _send(self, frames: list[bytes], publications: Sequence[Publication], deadline: float) -> None:
        confirms, wire = self._confirms, self.link.wire
        ticket = confirms.sent(publications) if self._confirm else None
        try:
            wire.send(frames[0] if len(frames) == 1 else b"".join(frames), deadline)
        except ConnectionError as exc:
            if exc.uncertain:
                raise _uncertain(exc, publications) from exc
            raise
        if ticket is None:
            return
        try:
            wire.wait_for(lambda: not ticket.left or ticket.lost is not None, deadline)
        except TimeoutError as exc:
            confirms.given_up(ticket)
            raise TimeoutError(self._late(len(publications))) from exc
        except ConnectionError as exc:
            raise _uncertain(exc, publications) from exc
        _raise_what_became_of(ticket)

    def _late(self, count: int) -> str:
        why = blocked(self.link.blocked) if self.link.blocked is not None else "the broker has not confirmed"
        messages = "the message" if count == 1 else f"all of {count} messages"
        return f"{messages} may be stored or not: no answer within the timeout: {why}"


def parts(
    publications: Sequence[Publication],
    ways: Sequence[tuple[Sequence[int], Callable[[Sequence[Publication], float], object]]],
    deadline: float,
) -> None:
    """Publish those at some places one way and those at others another, one after the other.

    The places in an error are those among all; what was not tried any more after one is among them.
    """
    begun = False
    for turn, (places, publish) in enumerate(ways):
        if not places:
            continue
        try:
            publish([publications[place] for place in places], deadline)
        except ChannelError as error:
            if begun or error.not_stored is not None:
                own = places if error.not_stored is None else [places[each] for each in error.not_stored]
                rest = [place for others, _ in ways[turn + 1 :] for place in others]
                error.not_stored = tuple(sorted([*own, *rest]))
            raise
        begun = True


def _raise_what_became_of(ticket: Ticket) -> None:
    """Raises where not all of it is stored."""
    why = ticket.lost
    if isinstance(why, ConnectionError):
        raise _uncertain(why, ticket.publications) from why
    if why is not None:
        raise type(why)(*why.args) from why
    raise_refusals(ticket)


def _names_exchange(error: ChannelError, ticket: Ticket) -> bool:
    exchange = wire_name(ticket.publications[0].exchange)
    return bool(exchange) and f"'{exchange}'" in str(error)


def _uncertain(why: ConnectionError, publications: Sequence[Publication]) -> PublishUncertain:
    return PublishUncertain(f"{why}; {_counted(publications)} may have been stored, or not")


def _counted(publications: Sequence[Publication]) -> str:
    return "the message" if len(publications) == 1 else f"{len(publications)} messages"
