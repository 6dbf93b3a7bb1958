"""Transports that deliver or settle otherwise than they should: one deliberate fault each."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from kombu import Message
from kombu.exceptions import KombuError
from kombu.transport.base import MessageCallback
from kombu.transport.virtual import Channel, VirtualConnection
from tests.faulty_transports.base import Faulty


class Delivering(Channel):
    """Hands out something else than it was given."""

    def basic_consume(self, queue: str, *, callback: MessageCallback, **options: Any) -> str:
        return super().basic_consume(queue, callback=partial(self.handed, callback), **options)

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
        message = super().basic_get(queue, no_ack)
        if message is not None:
            self.alter(message)
        return message

    def handed(self, callback: MessageCallback, message: Message) -> None:
        self.alter(message)
        callback(message)

    def alter(self, message: Message) -> None:
        """What is handed out."""


class IgnoresLease(Faulty):
    """A dead process keeps what it held."""

    def establish_connection(self) -> VirtualConnection:
        self.address = replace(self.address, options={})
        return super().establish_connection()


class IgnoresTimeouts(Faulty):
    """A drain without a message looks like one with a message."""

    def establish_connection(self) -> VirtualConnection:
        connection = super().establish_connection()
        drain = connection.drain_events

        def drain_events(timeout: float | None = None) -> None:
            with suppress(TimeoutError):
                drain(timeout)

        connection.drain_events = drain_events  # type: ignore[method-assign]
        return connection


class DropsAcknowledgements(Faulty):
    class Fault(Channel):
        def basic_ack(self, delivery_tag: int | str, *args: Any, **options: Any) -> None:
            pass


class AcknowledgesOneOfSeveral(Faulty):
    class Fault(Channel):
        def basic_ack(self, delivery_tag: int | str, multiple: bool = False, **options: Any) -> None:
            super().basic_ack(delivery_tag, **options)


class AcknowledgesWhatItGivesOut(Faulty):
    """So nothing ever comes back."""

    class Fault(Channel):
        def basic_consume(self, queue: str, *, no_ack: bool = False, **options: Any) -> str:
            return super().basic_consume(queue, no_ack=True, **options)


class KeepsWhatNeedsNoAcknowledgement(Faulty):
    class Fault(Channel):
        def basic_consume(self, queue: str, *, no_ack: bool = False, **options: Any) -> str:
            return super().basic_consume(queue, **options)

        def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
            return super().basic_get(queue)


class GetsWithoutTaking(Faulty):
    class Fault(Channel):
        def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
            message = super().basic_get(queue)
            if message is not None:
                self.basic_recover()
            return message


class DeliversTwice(Faulty):
    class Fault(Delivering):
        def handed(self, callback: MessageCallback, message: Message) -> None:
            callback(message)
            callback(message)


class SwallowsWhatHandlersRaise(Faulty):
    class Fault(Delivering):
        def handed(self, callback: MessageCallback, message: Message) -> None:
            with suppress(ArithmeticError):
                callback(message)


class CountsFromOne(Faulty):
    class Fault(Delivering):
        def alter(self, message: Message) -> None:
            message.delivery_info["delivery_count"] = 1


class NeverMarksRedelivered(Faulty):
    class Fault(Delivering):
        def alter(self, message: Message) -> None:
            message.delivery_info["redelivered"] = False


class ForgetsTheWay(Faulty):
    class Fault(Delivering):
        def alter(self, message: Message) -> None:
            message.delivery_info["exchange"] = ""


class LosesStories(Faulty):
    class Fault(Delivering):
        def alter(self, message: Message) -> None:
            message.headers = {name: value for name, value in message.headers.items() if name != "x-death"}


class RequeuesToTheEnd(Faulty):
    class Fault(Channel):
        def basic_reject(self, delivery_tag: int | str, requeue: bool = False, **options: Any) -> None:
            super().basic_reject(delivery_tag, requeue, **({"delay": 0.001} if requeue else options))


class RejectsByRequeueing(Faulty):
    class Fault(Channel):
        def basic_reject(self, delivery_tag: int | str, requeue: bool = False, **options: Any) -> None:
            super().basic_reject(delivery_tag, requeue=True)


class RequeuesByDropping(Faulty):
    class Fault(Channel):
        def basic_reject(self, delivery_tag: int | str, requeue: bool = False, **options: Any) -> None:
            super().basic_reject(delivery_tag, requeue=False)


class RequeuesAtOnce(Faulty):
    class Fault(Channel):
        def basic_reject(self, delivery_tag: int | str, requeue: bool = False, **options: Any) -> None:
            super().basic_reject(delivery_tag, requeue)


class IgnoresPrefetch(Faulty):
    class Fault(Channel):
        def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
            pass


class PrefetchesForEachConsumer(Faulty):
    class Fault(Channel):
        def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
            super().basic_qos(prefetch_size, prefetch_count)


class ServesTheFirstConsumer(Faulty):
    """Others on the same queue get nothing, as long as it is there."""

    class Fault(Channel):
        served: ClassVar[set[tuple[int, str]]] = set()

        def basic_consume(self, queue: str, **options: Any) -> str:
            key = (id(self.connection), queue)
            if key in self.served:
                return "never served"
            self.served.add(key)
            return super().basic_consume(queue, **options)


class NeverStops(Faulty):
    class Fault(Channel):
        def flow(self, active: bool) -> None:
            pass


class RaisesItsDriversErrors(Faulty):
    class Fault(Channel):
        def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
            try:
                return super().basic_get(queue, no_ack)
            except KombuError as error:
                raise LookupError(queue) from error

        def basic_consume(self, queue: str, **options: Any) -> str:
            try:
                return super().basic_consume(queue, **options)
            except KombuError as error:
                raise LookupError(queue) from error
