"""Promises about waiting: it ends by itself, and sooner when there is something to claim."""

from __future__ import annotations

import threading

from kombu.testing.case import QUEUE, StoreCase, message


class WaitingConformance(StoreCase):
    """``wait`` is a hint, but a hint that comes."""

    def test_waiting_on_empty_queues_ends_with_its_timeout(self) -> None:
        self.declare(QUEUE)
        self.at_once([lambda: self.store.wait([QUEUE], self.brief)])
        self.at_once([lambda: self.store.wait([QUEUE, "unknown"], 0.0)])

    def test_waiting_ends_at_once_where_a_message_is_ready(self) -> None:
        self.declare("empty")
        self.put("a")
        self.at_once([lambda: self.store.wait(["empty", QUEUE], 60 * self.patience)])

    def test_waiting_ends_when_another_handle_puts(self) -> None:
        self.declare("empty", QUEUE)
        waiter, putter, about_to_wait = self.handle(), self.handle(), threading.Event()

        def wait() -> None:
            about_to_wait.set()
            waiter.wait(["empty", QUEUE], 60 * self.patience)

        def put() -> None:
            assert about_to_wait.wait(self.patience)
            putter.put([(QUEUE, message("a"))])

        self.at_once([wait, put])
        assert self.counts().ready == 1

    def test_waiting_takes_nothing(self) -> None:
        self.put("a")
        self.store.wait([QUEUE], self.brief)
        assert self.take_one().delivery_count == 1
