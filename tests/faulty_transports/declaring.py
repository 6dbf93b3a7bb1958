"""Transports that declare, bind and delete otherwise than they should: one deliberate fault each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kombu import Message
from kombu.exceptions import ChannelError, NotFound, NotSupported, PreconditionFailed
from kombu.transport.base import Publication, QueueDeclared
from kombu.transport.virtual import Channel
from tests.faulty_transports.base import Faulty


class LooksByCreating(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", *, passive: bool = False, **options: Any) -> QueueDeclared:
            return super().queue_declare(queue, **options)


class TakesAnyDeclaration(Faulty):
    """What exists is good enough, however different it is."""

    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            try:
                return super().queue_declare(queue, **options)
            except PreconditionFailed:
                return super().queue_declare(queue, passive=True)

        def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
            with suppress(PreconditionFailed):
                super().exchange_declare(exchange, type, **options)


class SaysNothingOfTheDifference(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            try:
                return super().queue_declare(queue, **options)
            except PreconditionFailed:
                raise PreconditionFailed("406") from None


class CountsNothing(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            return super().queue_declare(queue, **options)._replace(message_count=0)


class CountsNoConsumers(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            return super().queue_declare(queue, **options)._replace(consumer_count=0)


class GivesTheSameName(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            return super().queue_declare(queue or "amq.gen-1", **options)


class FoldsCase(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", **options: Any) -> QueueDeclared:
            return super().queue_declare(queue.lower(), **options)

        def basic_consume(self, queue: str, **options: Any) -> str:
            return super().basic_consume(queue.lower(), **options)

        def publish_batch(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
            lower = [each._replace(routing_key=each.routing_key.lower()) for each in publications]
            super().publish_batch(lower, timeout)


class DeletesWhatIsInUse(Faulty):
    class Fault(Channel):
        def queue_delete(self, queue: str, **options: Any) -> int:
            return super().queue_delete(queue)

        def exchange_delete(self, exchange: str, **options: Any) -> None:
            super().exchange_delete(exchange)


class EmptiesInsteadOfDeleting(Faulty):
    class Fault(Channel):
        def queue_delete(self, queue: str, **options: Any) -> int:
            return self.queue_purge(queue)


class TakesAutoDeleteForExclusive(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", *, auto_delete: bool = False, **options: Any) -> QueueDeclared:
            return super().queue_declare(queue, **{**options, "exclusive": auto_delete})


class NeverMissesAQueue(Faulty):
    """One that was deleted looks empty."""

    class Fault(Channel):
        def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
            with suppress(NotFound):
                return super().basic_get(queue, no_ack)
            return None

        def queue_purge(self, queue: str, nowait: bool = False) -> int:
            with suppress(NotFound):
                return super().queue_purge(queue)
            return 0


class PurgesNothing(Faulty):
    class Fault(Channel):
        def queue_purge(self, queue: str, nowait: bool = False) -> int:
            return self.queue_declare(queue, passive=True).message_count


class BindsToEverything(Faulty):
    """Direct and topic exchanges like fanout."""

    class Fault(Channel):
        def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
            super().exchange_declare(exchange, "fanout", **options)


class TakesFanoutForDirect(Faulty):
    class Fault(Channel):
        def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
            super().exchange_declare(exchange, "direct" if type == "fanout" else type, **options)


class TakesTopicForDirect(Faulty):
    class Fault(Channel):
        def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
            super().exchange_declare(exchange, "direct" if type == "topic" else type, **options)


class BindsNothing(Faulty):
    class Fault(Channel):
        def queue_bind(self, *args: Any, **options: Any) -> None:
            pass


class BindsAnything(Faulty):
    class Fault(Channel):
        def queue_bind(self, *args: Any, **options: Any) -> None:
            with suppress(ChannelError):
                super().queue_bind(*args, **options)


class NeverUnbinds(Faulty):
    class Fault(Channel):
        def queue_unbind(self, *args: Any, **options: Any) -> None:
            pass

        def exchange_unbind(self, *args: Any, **options: Any) -> None:
            pass


class BindsNoExchanges(Faulty):
    class Fault(Channel):
        def exchange_bind(self, *args: Any, **options: Any) -> None:
            pass


class RefusesWithoutNames(Faulty):
    class Fault(Channel):
        def queue_declare(self, queue: str = "", *, arguments: Any = None, **options: Any) -> QueueDeclared:
            if arguments:
                raise NotSupported("not supported")
            return super().queue_declare(queue, **options)


class RefusesTheCore(Faulty):
    class Fault(Channel):
        def exchange_declare(self, exchange: str, type: str = "direct", **options: Any) -> None:
            if type == "headers":
                raise NotSupported(f"exchange {exchange!r}: transport 'memory' has no type 'headers'")
            super().exchange_declare(exchange, type, **options)
