"""Publisher confirms, kept as plain values (https://www.rabbitmq.com/docs/confirms): who waits for which numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from kombu.exceptions import KombuError, MessageReturned, PublishRefused
from kombu.transport.base import Publication
from kombu.transport.native.checks import wire_name
from kombu.transport.native.errors import returned

__all__ = ["Confirms", "Ticket", "raise_refusals"]


@dataclass(slots=True, eq=False)
class Ticket:
    """Publications that went out together on one channel. ``returned`` and ``refused`` are places among them;
    ``lost`` is why no answer will come for those that are ``left``."""

    publications: Sequence[Publication]
    left: int
    first: int
    returned: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    lost: KombuError | None = None

    @property
    def done(self) -> bool:
        return not self.left or self.lost is not None


class Confirms:
    """Of one channel in confirm mode. Not locked: the caller has the channel to itself."""

    __slots__ = ("_next", "_waiting")

    def __init__(self) -> None:
        self._next = 1
        self._waiting: dict[int, Ticket] = {}

    def sent(self, publications: Sequence[Publication]) -> Ticket:
        """These are about to be sent, in this order."""
        first, count = self._next, len(publications)
        ticket = Ticket(publications, count, first)
        if count == 1:
            self._waiting[first] = ticket
        else:
            self._waiting.update(dict.fromkeys(range(first, first + count), ticket))
        self._next = first + count
        return ticket

    def answered(self, tag: int, multiple: bool, positive: bool = True) -> list[Ticket]:
        """basic.ack or basic.nack; whose last answer that was. A number that nobody waits for is others' affair."""
        waiting, finished = self._waiting, list[Ticket]()
        if not multiple:
            tags: Iterable[int] = (tag,)
        else:
            tags = list(waiting if not tag else takewhile(lambda each: each <= tag, waiting))
        for each in tags:
            ticket = self._answer(each, positive)
            if ticket is not None and not ticket.left:
                finished.append(ticket)
        return finished

    def returned(self, exchange: str, routing_key: str, message_id: object) -> bool:
        """basic.return, which comes before the message's confirm, in the order of publishing. Whether it is known."""
        for tag, ticket in self._waiting.items():
            place = tag - ticket.first
            (_, properties), its_exchange, its_key, mandatory, _ = ticket.publications[place]
            if (
                mandatory
                and properties.get("message_id") == message_id
                and wire_name(its_exchange) == exchange
                and (its_key if exchange else wire_name(its_key)) == routing_key
                and place not in ticket.returned
            ):
                ticket.returned.append(place)
                return True
        return False

    def lost(self, why: KombuError) -> list[Ticket]:
        """The channel is gone, and the answers with it."""
        tickets = list(dict.fromkeys(self._waiting.values()))
        for ticket in tickets:
            ticket.lost = why
        self._waiting.clear()
        return tickets

    def given_up(self, ticket: Ticket) -> None:
        """Nobody waits for this one any more."""
        for tag in range(ticket.first, ticket.first + len(ticket.publications)):
            self._waiting.pop(tag, None)

    def _answer(self, tag: int, positive: bool) -> Ticket | None:
        ticket = self._waiting.pop(tag, None)
        if ticket is not None:
            ticket.left -= 1
            if not positive:
                ticket.refused.append(tag - ticket.first)
        return ticket


def raise_refusals(ticket: Ticket) -> None:
    """Raises for what came back or was refused; ``not_stored`` of the error says which, the others are stored."""
    if not ticket.returned and not ticket.refused:
        return
    if ticket.refused:
        raise _refused(ticket)
    first = ticket.publications[ticket.returned[0]]
    error: MessageReturned = returned(first.exchange, first.routing_key)
    error.not_stored = tuple(sorted(ticket.returned))
    raise error


def _refused(ticket: Ticket) -> PublishRefused:
    first = ticket.publications[ticket.refused[0]]
    sent = len(ticket.publications)
    count = "the message" if sent == 1 else f"{len(ticket.refused)} of {sent} messages, the first one"
    error = PublishRefused(
        f"the broker did not take {count} for exchange {first.exchange!r}, routing key {first.routing_key!r}:"
        " a queue is full and refuses then, or cannot be reached"
    )
    error.not_stored = tuple(sorted({*ticket.refused, *ticket.returned}))
    return error
