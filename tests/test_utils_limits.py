"""A token bucket lets through what its rate allows, in order, and tells how long the rest has to wait."""

from __future__ import annotations

import threading
from math import inf, nan

import pytest

from kombu.utils.limits import TokenBucket


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_full_bucket_allows_a_burst_and_then_as_much_as_flows_in(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(2, capacity=3, clock=clock)
    assert [bucket.can_consume() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [bucket.can_consume() for _ in range(2)] == [True, False]


def test_no_more_than_the_capacity_gathers(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(10, capacity=2, clock=clock)
    clock.now += 3600
    assert not bucket.can_consume(3)
    assert bucket.can_consume(2)
    assert not bucket.can_consume()


def test_what_is_refused_takes_nothing(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(1, capacity=2, clock=clock)
    assert not bucket.can_consume(3)
    assert bucket.can_consume(2)


def test_the_wait_that_is_told_is_exactly_enough(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(4, capacity=2, clock=clock)
    assert bucket.expected_time(2) == 0.0
    assert bucket.can_consume(2)
    wait = bucket.expected_time()
    assert wait == 0.25
    clock.now += wait
    assert bucket.can_consume()


def test_what_never_comes_takes_for_ever(clock: Clock) -> None:
    assert TokenBucket[str](1, capacity=2, clock=clock).expected_time(3) == inf
    dry: TokenBucket[str] = TokenBucket(0, clock=clock)
    assert dry.can_consume()
    assert dry.expected_time() == inf


def test_what_waits_comes_out_in_order(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(1, clock=clock)
    for item in ("a", "b", "c"):
        bucket.add(item)
    assert bucket.pop() == "a"
    assert list(bucket.contents) == ["b", "c"]
    bucket.clear_pending()
    assert not bucket.contents
    with pytest.raises(IndexError):
        bucket.pop()


def test_threads_together_get_no_more_than_there_is(clock: Clock) -> None:
    bucket: TokenBucket[str] = TokenBucket(1, capacity=100, clock=clock)
    together = threading.Barrier(4)
    got: list[bool] = []

    def take() -> None:
        together.wait()
        got.extend(bucket.can_consume() for _ in range(100))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(True) == 100


@pytest.mark.parametrize(
    ("rate", "capacity", "wrong"), [(-1, 1, "fill_rate=-1"), (nan, 1, "fill_rate"), (1, 0, "capacity=0")]
)
def test_a_bucket_that_makes_no_sense_is_refused(rate: float, capacity: float, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        TokenBucket(rate, capacity)
