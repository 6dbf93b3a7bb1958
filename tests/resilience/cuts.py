"""Promises about connections that break: consumers and publishers come back, and nothing that was confirmed is lost."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from tests.proxy import Moment
from tests.resilience.case import SOME, ResilienceCase
from tests.resilience.troubles import Trouble, in_every_trouble

SPOTS = range(3)
"""Which time that the client says something."""


class Cuts(ResilienceCase):
    @in_every_trouble
    def test_idle_consumers_go_on_by_themselves(self, trouble: Trouble) -> None:
        """Of every kind, each on a connection and a queue of its own."""
        proxy = self.proxy()
        with self.idling(self.through(proxy)) as workers:
            trouble.strike(proxy)
            self.everybody_gets_one(workers)
            trouble.heal(proxy)
            self.check()

    @in_every_trouble
    def test_what_is_confirmed_meanwhile_arrives(self, trouble: Trouble) -> None:
        """Two publishers go on, and their consumer is not concerned."""
        proxy, queue = self.proxy(), self.queue()
        with self.consuming(self.direct, queue), ExitStack() as publishing:
            for _ in range(2):
                publishing.enter_context(self.publishing(self.through(proxy), queue))
            self.more_is_confirmed()
            trouble.strike(proxy)
            self.more_is_confirmed()
            trouble.heal(proxy)
            publishing.close()
            self.check()

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_a_publish_that_is_cut_at_any_point_is_confirmed_only_if_it_is_stored(self, moment: Moment) -> None:
        proxy, queue = self.proxy(), self.queue()
        with self.publishing(self.through(proxy), queue):
            for spot in SPOTS:
                self.more_is_confirmed(1)
                proxy.cut_at(b"", moment, spare=spot)
                assert proxy.struck.wait(self.patience)
                self.more_is_confirmed(1)
        with self.consuming(self.direct, queue):
            self.check()

    @in_every_trouble
    def test_a_handler_that_runs_meanwhile_is_repeated_at_most_once(self, trouble: Trouble) -> None:
        proxy, queue = self.proxy(), self.queue()
        runs, go = threading.Event(), threading.Event()
        (first,), after = self.some(), self.some(SOME)

        def handle(_: object) -> None:
            runs.set()
            assert go.wait(self.patience)

        with self.consuming(self.through(proxy), queue, handle) as worker:
            self.publish(queue, first)
            self.eventually(runs.is_set)
            trouble.strike(proxy)
            go.set()
            self.publish(queue, *after)
            self.delivered(*after)
            trouble.heal(proxy)
            self.eventually(worker.idle.is_set)
            self.check()
        assert self.ledger.times(first) <= (1 if trouble.harmless else 2)

    @in_every_trouble
    def test_acknowledging_meanwhile_repeats_each_message_at_most_once(self, trouble: Trouble) -> None:
        proxy, queue = self.proxy(), self.queue()
        struck, bodies = threading.Event(), self.some(2 * SOME)

        def handle(_: object) -> None:
            if len(self.ledger.delivered) == SOME // 2 and not struck.is_set():
                trouble.strike(proxy)
                struck.set()

        self.publish(queue, *bodies)
        with self.consuming(self.through(proxy), queue, handle) as worker:
            self.delivered(*bodies)
            trouble.heal(proxy)
            self.eventually(worker.idle.is_set)
            self.becomes_empty(queue)
            self.check()
        assert struck.is_set()
        assert max(map(self.ledger.times, bodies)) <= (1 if trouble.harmless else 2)

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_an_acknowledgement_that_is_cut_at_any_point_repeats_its_message_at_most_once(self, moment: Moment) -> None:
        proxy, queue = self.proxy(), self.queue()
        spots = {body: spot for spot, body in enumerate(self.some(len(SPOTS)))}

        def handle(message: object) -> None:
            body = message.payload  # type: ignore[attr-defined]
            if self.ledger.times(body) == 1:
                proxy.cut_at(b"", moment, spare=spots[body])

        with self.consuming(self.through(proxy), queue, handle) as worker:
            for body in spots:
                self.publish(queue, body)
                self.delivered(body)
                assert proxy.struck.wait(self.patience)
                self.eventually(worker.idle.is_set)
            self.becomes_empty(queue)
            self.check()
        assert max(map(self.ledger.times, spots)) <= 2
