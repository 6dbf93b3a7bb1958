"""What a connection publishes: held back while the broker takes nothing, and sent when all it needs is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from kombu.exceptions import KombuError, MessageReturned, NotFound, OperationalError
from kombu.transport.asynchronous import WouldWait
from kombu.transport.base import Publication
from kombu.transport.native import delay
from kombu.transport.native.checks import wire_name
from kombu.transport.native.errors import blocked
from kombu.transport.pika.homes import Answer
from kombu.transport.pika.line import Ask
from kombu.transport.pika.publishing import Done, Parcel, Publishing, packed
from kombu.transport.pika.wire import Services, Wire

if TYPE_CHECKING:
    from kombu.transport.pika.connection import PikaConnection

__all__ = ["Outgoing"]

logger = logging.getLogger(__name__)


class Outgoing:
    """Of one connection. Made in the event loop."""

    def __init__(self, connection: PikaConnection, wire: Wire, services: Services) -> None:
        self.blocked: str | None = None
        """Why the broker takes no messages; None while it does."""
        self._connection = connection
        self._options = connection.options
        self._frame_max = int(wire.params.frame_max)
        self._publishing = Publishing(wire, services, connection.options.confirm_publish, self._frame_max)
        self._held_back: list[Callable[[], object]] = []
        self._exchanges: set[str] = set()
        self._stairs = -2
        wire.add_on_connection_blocked_callback(self._on_blocked)
        wire.add_on_connection_unblocked_callback(self._on_unblocked)

    def publish(self, publications: Sequence[Publication], timeout: float | None) -> None:
        """From any thread but the event loop's: all is stored when this returns."""
        if self._connection.home.here:
            raise WouldWait("publishing waits for the broker: not in its own event loop")
        parcel, late = self._ready(publications)
        if not publications:
            return
        answer = Answer[None]()

        def done(error: Exception | None) -> None:
            if error is None:
                answer.give(None)
            else:
                answer.fail(error)

        self._connection.soon(partial(self._begin, parcel, late, done))
        limit = self._options.confirm_timeout if timeout is None else timeout
        if not answer.wait(limit):
            parcel.withdrawn = True
            raise self._too_late(parcel, limit)
        answer.take()

    def publish_soon(self, publications: Sequence[Publication]) -> asyncio.Future[None]:
        """In the event loop: done when all is stored."""
        if not self._connection.home.here:
            raise WouldWait("publish_soon is for the connection's own event loop")
        parcel, late = self._ready(publications)
        future: asyncio.Future[None] = self._connection.home.loop.create_future()

        def done(error: Exception | None) -> None:
            timer.cancel()
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        def expire() -> None:
            parcel.withdrawn = True
            done(self._too_late(parcel, limit))

        limit = self._options.confirm_timeout
        timer = self._connection.home.loop.call_later(limit, expire)
        if publications:
            self._begin(parcel, late, done)
        else:
            done(None)
        return future

    def forget_exchange(self, exchange: str) -> None:
        """It may have been deleted."""
        self._exchanges.discard(exchange)

    def end(self, why: KombuError) -> None:
        """The connection is gone: what was sent is uncertain, what was not is not."""
        self._publishing.end(why)
        self.blocked = None
        self._go_on()

    def _ready(self, publications: Sequence[Publication]) -> tuple[Parcel, list[Publication]]:
        """What is to be sent, and what of it takes the stairs. Raises what is wrong with any of it."""
        self._connection.check()
        if any(publication.delay for publication in publications):
            publications = [self._delayed(each) if each.delay else each for each in publications]
        late = [each for each in publications if each.exchange.startswith(delay.PREFIX)]
        return packed(publications, self._frame_max), late

    def _delayed(self, publication: Publication) -> Publication:
        delay.check_delayed(publication, self._connection.transport)
        return delay.delayed(publication)

    def _begin(self, parcel: Parcel, late: Sequence[Publication], done: Done) -> None:
        """In the event loop. Whatever goes wrong is told to who waits for it."""
        try:
            self._begin_when_it_may(parcel, late, done)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            done(error)

    def _begin_when_it_may(self, parcel: Parcel, late: Sequence[Publication], done: Done) -> None:
        """Not before the broker takes messages, and what they need is there."""
        if parcel.withdrawn:
            return
        if self.blocked is not None:
            self._held_back.append(partial(self._begin, parcel, late, done))
            return
        asks = self._asks_before(parcel, late)
        if not asks:
            self._send(parcel, done)
            return

        def asked(_: Any, error: Exception | None) -> None:
            if error is None:
                self._send(parcel, partial(self._sent_late, parcel, late, done) if late else done)
            else:
                self._not_ready(parcel, late, error, done)

        self._connection.ask_in_turn(asks, asked)

    def _send(self, parcel: Parcel, done: Done) -> None:
        def sent(error: Exception | None) -> None:
            if isinstance(error, NotFound):
                self._exchanges.clear()
            done(error)

        self._publishing.publish(parcel, sent)

    def _asks_before(self, parcel: Parcel, late: Sequence[Publication]) -> list[Ask]:
        """An exchange that does not exist ends the channel, and what else is on its way there would be uncertain."""
        asks: list[Ask] = []
        if late:
            asks += map(_step, self._steps(late))
        unknown = {publication.exchange for publication in parcel.publications} - self._exchanges
        asks += [self._look_for(each) for each in sorted(unknown) if each and not each.startswith(delay.PREFIX)]
        return asks

    def _look_for(self, exchange: str) -> Ask:
        def ask(channel: Any, answered: Callable[[Any], None]) -> None:
            def found(frame: Any) -> None:
                self._exchanges.add(exchange)
                answered(frame)

            channel.exchange_declare(wire_name(exchange), passive=True, callback=found)

        return ask

    def _steps(self, late: Sequence[Publication]) -> list[delay.DeclareStep | delay.BindStep]:
        """What the stairs lack, as far as this connection knows, and where they lead to."""
        steps: list[delay.DeclareStep | delay.BindStep] = []
        top = max(_top(each) for each in late)
        if top > self._stairs:
            steps += delay.stairs(top)
            self._stairs = top
        return [*steps, *delay.bindings(late)]

    def _not_ready(self, parcel: Parcel, late: Sequence[Publication], error: Exception, done: Done) -> None:
        """A delayed message for a queue that does not exist is not routed, as without a delay."""
        self._stairs = -2
        to_nowhere = isinstance(error, NotFound) and len(parcel.publications) == 1 and bool(late)
        if not to_nowhere or late[0].content.properties["headers"].get(delay.TO_QUEUE) is None:  # type: ignore[attr-defined]
            done(error)
        else:
            done(None)

    def _sent_late(self, parcel: Parcel, late: Sequence[Publication], done: Done, error: Exception | None) -> None:
        """What came back from the stairs met one that somebody removed: they are built anew, once."""
        places = error.not_stored if isinstance(error, MessageReturned) else None
        if isinstance(error, NotFound) and len(parcel.publications) == 1:
            places = (0,)
        if not places or not all(parcel.publications[each] in late for each in places):
            done(error)
            return
        self._stairs = -2
        again = packed([parcel.publications[each] for each in places], self._frame_max)
        missing = again.publications

        def asked(_: Any, failed: Exception | None) -> None:
            if failed is None:
                self._send(again, done)
            else:
                done(failed)

        self._connection.ask_in_turn(map(_step, self._steps(missing)), asked)

    def _too_late(self, parcel: Parcel, limit: float) -> Exception:
        """Nobody waits for the confirm any more."""
        reason = self.blocked
        why = f"no confirm within {limit:g} s" if reason is None else blocked(reason)
        if not parcel.sent and self._connection.connected:
            return OperationalError(f"nothing was published within {limit:g} s: {why}")
        count = len(parcel.publications)
        return TimeoutError(f"{'the message' if count == 1 else f'{count} messages'} may be stored or not: {why}")

    def _on_blocked(self, _: Any, frame: Any) -> None:
        self.blocked = str(frame.method.reason)
        logger.warning("%s: %s", self._connection.place, blocked(self.blocked))

    def _on_unblocked(self, _: Any, frame: Any) -> None:
        logger.warning("%s: the broker takes messages again", self._connection.place)
        self.blocked = None
        self._go_on()

    def _go_on(self) -> None:
        held_back, self._held_back = self._held_back, []
        for go_on in held_back:
            go_on()


def _top(publication: Publication) -> int:
    """Where it begins on the stairs, of a message that is to take them."""
    name = publication.exchange.removeprefix(delay.PREFIX)
    return int(name) if name.isdecimal() else -1


def _step(step: delay.DeclareStep | delay.BindStep) -> Ask:
    def bind(channel: Any, answered: Callable[[Any], None]) -> None:
        assert isinstance(step, delay.BindStep)  # noqa: S101
        arguments = dict(step.arguments)
        if step.to_exchange:
            channel.exchange_bind(wire_name(step.destination), step.source, "", arguments, answered)
        else:
            channel.queue_bind(wire_name(step.destination), step.source, "", arguments, answered)

    def declare(channel: Any, answered: Callable[[Any], None]) -> None:
        assert isinstance(step, delay.DeclareStep)  # noqa: S101
        arguments = step.arguments

        def queue(frame: Any) -> None:
            if arguments is None:
                answered(frame)
            else:
                channel.queue_declare(step.name, durable=True, arguments=dict(arguments), callback=answered)

        channel.exchange_declare(step.name, "headers", durable=True, callback=queue)

    return bind if isinstance(step, delay.BindStep) else declare
