"""Transports whose statistics are wrong: one deliberate fault each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kombu.transport.base import QueueStatistics
from kombu.transport.virtual import VirtualConnection
from tests.faulty_transports.base import Faulty

Told = dict[str, QueueStatistics]


class Counting(Faulty):
    """Its connections tell something else than they know."""

    def establish_connection(self) -> VirtualConnection:
        connection = super().establish_connection()
        know = connection.statistics

        def statistics(queues: Sequence[str] | None = None) -> Told:
            return self.altered(know(queues), queues)

        connection.statistics = statistics  # type: ignore[method-assign]
        return connection

    def altered(self, told: Told, queues: Sequence[str] | None) -> Told:
        return {queue: self.wrong(each) for queue, each in told.items()}

    def wrong(self, told: QueueStatistics) -> QueueStatistics:
        raise NotImplementedError


class CountsWhatIsHeldAsReady(Counting):
    def wrong(self, told: QueueStatistics) -> QueueStatistics:
        return replace(told, ready=(told.ready or 0) + (told.leased or 0), leased=0)


class CountsWhatIsDelayedAsReady(Counting):
    def wrong(self, told: QueueStatistics) -> QueueStatistics:
        return replace(told, ready=(told.ready or 0) + (told.delayed or 0), delayed=0)


class GuessesNothing(Counting):
    def wrong(self, told: QueueStatistics) -> QueueStatistics:
        return QueueStatistics(ready=0, delayed=0, leased=0, consumers=0)


class TellsAgesInMilliseconds(Counting):
    def wrong(self, told: QueueStatistics) -> QueueStatistics:
        return replace(told, oldest=None if told.oldest is None else told.oldest * 1000)


class InventsQueues(Counting):
    def altered(self, told: Told, queues: Sequence[str] | None) -> Told:
        return {queue: QueueStatistics(ready=0) for queue in queues or ()} | told


class TellsOfSomeQueues(Counting):
    def altered(self, told: Told, queues: Sequence[str] | None) -> Told:
        return told if queues is not None else dict(list(told.items())[:1])
