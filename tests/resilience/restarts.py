"""Promises about a server that is stopped or killed, and comes back."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from kombu import Connection
from kombu.exceptions import OperationalError
from tests.background import LONG
from tests.instances import End
from tests.resilience.case import ResilienceCase
from tests.resilience.workers import AT_ONCE


class Restarts(ResilienceCase):
    @pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
    def test_everybody_goes_on_when_the_server_comes_back(self, how: End) -> None:
        """Consumers of every kind that are idle, one whose handler runs, one that acknowledges one message after the
        other, and two that publish these."""
        self.can_end(how)
        slow, busy = self.queue(), self.queue()
        runs, go = threading.Event(), threading.Event()
        held, next_one = self.some(2)

        def handle(_: object) -> None:
            runs.set()
            assert go.wait(LONG)

        with ExitStack() as working:
            idle = working.enter_context(self.idling(self.direct))
            working.enter_context(self.consuming(self.direct, slow, handle))
            self.publish(slow, held)
            self.eventually(runs.is_set)
            working.enter_context(self.consuming(self.direct, busy))
            with ExitStack() as publishing:
                for _ in range(2):
                    publishing.enter_context(self.publishing(self.direct, busy))
                self.more_is_confirmed()
                self.own.end(how)
                self.own.start()
                self.more_is_confirmed()
            go.set()
            self.publish(slow, next_one)
            self.everybody_gets_one(idle)
            self.delivered(next_one)
            self.check(how)
        assert self.ledger.times(held) <= 2

    def test_a_publish_while_the_server_is_away_raises_when_its_time_is_over(self) -> None:
        self.can_end("fast")
        queue, (early, late, in_time) = self.queue(), self.some(3)
        with Connection(self.direct, **self.settings) as connection:
            producer = connection.Producer(routing_key=queue)
            producer.publish(early)
            self.ledger.confirmed.add(early)
            self.own.end("fast")
            for call in (
                lambda: producer.publish(late, retry=True, retry_policy=AT_ONCE, timeout=0.5),
                lambda: producer.publish(late),
            ):
                assert isinstance(self.ends_in_time(call), OperationalError)
            self.own.start()
            producer.publish(in_time, retry=True, retry_policy=AT_ONCE, timeout=LONG)
            self.ledger.confirmed.add(in_time)
        with self.consuming(self.direct, queue):
            self.check()

    def can_end(self, how: End) -> None:
        if how not in self.ends:
            pytest.skip(f"{self.server} cannot be ended like that, or forgets everything")
