"""Events of many nodes have an order that all nodes agree on."""

from __future__ import annotations

import pickle
import random
import threading
from heapq import heappop, heappush

import pytest

from kombu.clocks import LamportClock, timetuple


def test_a_clock_goes_past_what_it_hears_of_and_never_back() -> None:
    clock = LamportClock()
    assert clock.forward() == 1
    assert clock.adjust(10) == clock.value == 11
    assert clock.adjust(3) == 12
    assert LamportClock(5).forward() == 6


def test_a_message_is_older_than_whatever_it_led_to() -> None:
    here, there = LamportClock(3), LamportClock(100)
    sent = here.forward()
    there.adjust(sent)
    answered = there.forward()
    here.adjust(answered)
    assert sent < answered < here.value


def test_a_clock_shows_its_value() -> None:
    assert str(LamportClock(7)) == "7"
    assert "7" in repr(LamportClock(7))


def test_threads_never_get_the_same_value() -> None:
    clock, together, got = LamportClock(), threading.Barrier(4), []

    def tick() -> None:
        together.wait()
        got.extend([clock.forward() for _ in range(2000)])

    threads = [threading.Thread(target=tick) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 8001))


def test_a_lock_of_ones_own_is_what_guards_it() -> None:
    class Lock:
        entered = 0

        def __enter__(self) -> None:
            Lock.entered += 1

        def __exit__(self, *exc: object) -> None:
            return

    clock = LamportClock(Lock=Lock)
    clock.forward()
    clock.adjust(1)
    assert Lock.entered == 2


def test_of_events_with_one_clock_the_least_node_is_first() -> None:
    clock = LamportClock()
    assert clock.sort_heap([(1, "c"), (1, "a"), (2, "0")]) == (1, "a")
    assert clock.sort_heap([(1, "c", "x"), (2, "a", "y")]) == (1, "c", "x")
    with pytest.raises(IndexError):
        clock.sort_heap([])


def test_events_are_ordered_by_clock_then_by_node_whatever_their_wall_clocks_say() -> None:
    events = [timetuple(1, 900.0, "b"), timetuple(1, 100.0, "c"), timetuple(2, 5.0, "a"), timetuple(3, 1.0, "a")]
    backwards = events[::-1]
    assert sorted(backwards) == events
    assert events[0] < events[1] <= events[2] < events[3]
    assert events[3] > events[2] >= events[1]


def test_an_event_without_a_logical_clock_is_ordered_by_its_timestamp() -> None:
    assert timetuple(None, 1.0, "z") < timetuple(None, 2.0, "a")
    assert timetuple(9, 3.0, "a") > timetuple(None, 2.0, "a")
    assert timetuple(0, 1.0, "a") < timetuple(9, 3.0, "a")


def test_what_happened_is_not_compared() -> None:
    heap: list[timetuple] = []
    for clock in random.sample(range(1, 50), 20):
        heappush(heap, timetuple(clock, 0.0, "a", {"not": "comparable"}))
    clocks = [heappop(heap).clock for _ in range(20)]
    assert clocks == sorted(clocks, key=lambda clock: clock or 0)


def test_an_event_is_a_tuple_with_names() -> None:
    event = timetuple(1, 2.0, "a", obj="task")
    assert tuple(event) == (1, 2.0, "a", "task")
    assert (event.clock, event.timestamp, event.id, event.obj) == (1, 2.0, "a", "task")
    assert pickle.loads(pickle.dumps(event)) == event
